import type { Meta } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { connect, type Satellite, type SatelliteOptions } from "../src/index.ts";
import { FlakyProxy, randomOf } from "./flaky-proxy.ts";
import { turn, until } from "./waiting.ts";

const perVendor = 1_500;
const faultsPerRun = 16;
const vendorIds = ["acme", "globex"];

const range = (through: number) => Array.from({ length: through }, (_, place) => place + 1);

/** What came, in order: its offset, its key, and how many its vendor had said before it. */
type Heard = { readonly offset: number; readonly key: string; readonly number: number };
const heardOf = ({ customer }: { customer: { city: string } }, { offset, subject }: Meta): Heard => ({
  offset: offset ?? 0,
  key: subject ?? "",
  number: Number(customer.city),
});

function satellite(url: string, role: string, id: string, options: Partial<SatelliteOptions> = {}) {
  const made = connect(parcels, { url, role: role as never, id, ...options });
  return Object.assign(made, { [Symbol.asyncDispose]: () => made.close({ drainMs: 0 }) });
}

/** Says all it has at full speed, forty at a time; every offset that it got a receipt for, in the order of saying. */
async function speak(vendor: Satellite<Parcels>, vendorId: string, onAck: () => void): Promise<number[]> {
  const offsets: number[] = [];
  let next = 0;
  const worker = async () => {
    while (next < perVendor) {
      const number = next;
      next += 1;
      const parcelId = `${vendorId}-${number % 17}`;
      const data = { parcelId, vendorId, customer: { city: `${number}`, state: "PE" } };
      offsets[number] = (await vendor.emit("pickup", data)).offset;
      onAck();
    }
  };
  await Promise.all(Array.from({ length: 40 }, worker));
  return offsets;
}

const isRising = (numbers: readonly number[]) =>
  numbers.every((one, place) => one > (numbers[place - 1] ?? -1));
const byKey = (heard: readonly Heard[]) => {
  const keys = new Map<string, number[]>();
  for (const { key, offset } of heard) keys.set(key, [...(keys.get(key) ?? []), offset]);
  return keys;
};

describe("through a network that cuts, doubles, freezes, half-closes and delays connections", () => {
  it.each([1, 2, 3, 4])(
    "what is acked is there once and in order, and whoever listens or follows gets all of it: seed %d",
    async (seed) => {
      const limits = { pingIntervalMs: 300, pingTimeoutMs: 300, tailBytes: 50_000 };
      await using hub = await startHub({ contracts: [parcels], limits });
      await using proxy = await FlakyProxy.before(hub.url);
      const errors: unknown[] = [];
      const options = { onError: (error: unknown) => void errors.push(error) };
      await using acme = satellite(proxy.url, "vendor", "acme", options);
      await using globex = satellite(proxy.url, "vendor", "globex", options);
      await using listener = satellite(proxy.url, "logger", "l", options);
      await using follower = satellite(proxy.url, "logger", "f", options);

      const live: Heard[] = [];
      listener.on("pickup", (data, meta) => void live.push(heardOf(data, meta)));
      const own: Heard[] = [];
      acme.on("pickup", (data, meta) => void own.push(heardOf(data, meta)));
      const followed: Heard[] = [];
      follower.follow("pickup", { as: "all", from: "start" }, async (data, meta) => {
        await turn();
        followed.push(heardOf(data, meta));
      });
      await Promise.all([listener.ready(), acme.ready()]);

      const total = perVendor * vendorIds.length;
      const onAck = proxy.disturber(total, faultsPerRun, randomOf(seed));
      const said = await Promise.all([speak(acme, "acme", onAck), speak(globex, "globex", onAck)]);
      await until(() => live.at(-1)?.offset === total && followed.length >= total);
      await until(() => own.length >= perVendor);

      // The log has each event once, where its receipt says, and each vendor's in the order in which it said them.
      expect(hub.log.head).toBe(total);
      expect(said.flat().sort((a, b) => a - b)).toEqual(range(total));
      expect(said.map(isRising)).toEqual([true, true]);
      expect(live.map(({ offset }) => offset)).toEqual(range(total));
      expect(own.map(({ offset }) => offset)).toEqual(said[0]);
      expect(followed.map(({ offset }) => offset).sort((a, b) => a - b)).toEqual(range(total));
      for (const offsets of byKey(followed).values()) expect(isRising(offsets)).toBe(true);
      expect(errors).toEqual([]);
      expect(proxy.connections).toBeGreaterThan(4 + faultsPerRun / 4);
    },
  );
});
