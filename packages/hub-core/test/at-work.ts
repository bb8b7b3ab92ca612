import type { Claim } from "@orrery/contracts";
import type { TestHub } from "../src/testing.ts";
import { connect, host } from "./house.ts";

export const work = { group: "g", events: ["said"] };

/** Works on so many events, which were said for it. */
export async function atWork(hub: TestHub, count: number) {
  const worker = await connect(hub, { ...host, protocol: 1 });
  const claims: Claim[] = [];
  let wake: () => void = () => undefined;
  worker.socket.on("hub:claims", (packet) => {
    claims.push(...packet.claims);
    wake();
  });
  await worker.socket.emitWithAck("hub:work", { ...work, capacity: count });
  const entries = Array.from({ length: count }, (_, n) => ["said", { id: `${n}` }]);
  await worker.socket.emitWithAck("hub:emit", entries);
  while (claims.length < count) await new Promise<void>((resolve) => (wake = resolve));
  return { worker, claims };
}
