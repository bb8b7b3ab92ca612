import type { Accepted, Claim, Receipt, SettledReply } from "@orrery/contracts";
import { startHub, type TestHub } from "../src/testing.ts";
import { type PlainClient, refusal } from "./clients.ts";
import { connect, contracts, host } from "./house.ts";

/** A hub whose log writes nothing while it is shut. */
async function startGated(limits: object = {}) {
  const hub = await startHub({ contracts, limits });
  const append = hub.log.append.bind(hub.log);
  let gate: Promise<void> | undefined;
  let open: () => void = () => undefined;
  hub.log.append = async (...batch) => {
    await gate;
    return append(...batch);
  };
  const shut = () => {
    gate = new Promise<void>((resolve) => {
      open = resolve;
    });
  };
  return Object.assign(hub, { shut, open: () => open() });
}

/** Works on so many events, which were said for it. */
async function atWork(hub: TestHub, count: number) {
  const worker = await connect(hub, { ...host, protocol: 1 });
  const claims: Claim[] = [];
  let wake: () => void = () => undefined;
  worker.socket.on("hub:claims", (packet) => {
    claims.push(...packet.claims);
    wake();
  });
  await worker.socket.emitWithAck("hub:work", { group: "g", events: ["said"], capacity: count });
  const entries = Array.from({ length: count }, (_, n) => ["said", { id: `${n}` }]);
  await worker.socket.emitWithAck("hub:emit", entries);
  while (claims.length < count) await new Promise<void>((resolve) => (wake = resolve));
  return { worker, claims };
}

const settle = ({ socket }: PlainClient, claims: readonly Claim[], more: object) => {
  const settles = claims.map(({ offset, token }) => ({ offset, token, outcome: "done", ...more }));
  return socket.emitWithAck("hub:settle", { group: "g", settles });
};

/** What is not kept is answered at once: the hub has all that was said before it. */
const marker = (client: PlainClient) => client.say("waved", { id: "marker" });

const moods = (count: number) =>
  Array.from({ length: count }, (_, n) => ["mood", { who: `${n}`, mood: "good" }]);

it("nobody's event waits behind all that another connection settles: that has its share in a commit", async () => {
  await using hub = await startGated();
  const { worker, claims } = await atWork(hub, 150);
  await using _worker = worker;
  await using little = await connect(hub, { role: "guest", id: "little", protocol: 1 });
  hub.shut();
  const settled = settle(worker, claims, { events: moods(1) });
  await marker(worker);
  const one = little.say("said", { id: "one" });
  await marker(little);
  hub.open();
  // Of each settle there are two: what it says, and the attempt in the history of its key.
  expect(((await one) as unknown as Accepted).offset).toBeLessThan(150 + 150);
  const { replies }: { replies: SettledReply[] } = await settled;
  const offsets = replies.flatMap((reply) => (reply.ok ? reply.receipts : [])).map(({ offset }) => offset);
  expect(offsets).toHaveLength(150);
  expect(offsets).toEqual(offsets.toSorted((a, b) => Number(a) - Number(b)));
});

it("what is settled while too much waits for the disk is refused for now, and the claim is held", async () => {
  await using hub = await startGated({ queueBytes: 200 });
  const { worker, claims } = await atWork(hub, 1);
  await using _worker = worker;
  hub.shut();
  const said: Promise<Receipt>[] = [];
  let isBusy = false;
  while (!isBusy) {
    said.push(worker.say("said", { id: "x".repeat(100) }));
    void said.at(-1)?.then(({ ok }) => (isBusy = !ok));
    await marker(worker);
  }
  const { replies } = await settle(worker, claims, { events: moods(1) });
  expect(replies).toEqual([refusal("HUB_BUSY")]);
  hub.open();
  await Promise.all(said);
  expect(await settle(worker, claims, { events: moods(1) })).toMatchObject({ replies: [{ ok: true }] });
});

it("a message with more settles, or more events of these, than a batch may have is refused, and all claims are held", async () => {
  await using hub = await startGated({ batchEvents: 4 });
  const { worker, claims } = await atWork(hub, 4);
  await using _worker = worker;
  expect(await settle(worker, [...claims, claims[0] as Claim], {})).toEqual(refusal("BATCH_TOO_LARGE"));
  expect(await settle(worker, claims.slice(1), { events: moods(2) })).toEqual(refusal("BATCH_TOO_LARGE"));
  expect(await settle(worker, claims, { events: moods(1) })).toMatchObject({
    ok: true,
    replies: Array(4).fill({ ok: true }),
  });
});

it("a group that is forgotten while settles wait for the disk leaves nothing behind", async () => {
  await using hub = await startGated();
  const { worker, claims } = await atWork(hub, 150);
  await using _worker = worker;
  hub.shut();
  const settled = settle(worker, claims, { outcome: "retry" });
  await marker(worker);
  const forgotten = worker.socket.emitWithAck("hub:forget", { group: "g" });
  await marker(worker);
  hub.open();
  expect((await settled).replies).toEqual(Array(150).fill(expect.objectContaining({ ok: true })));
  expect(await forgotten).toEqual({ ok: true });
  expect([...(await hub.log.records("")).keys()]).toEqual([]);
});
