// What the compiler refuses in a handler of `work`. `tsc` checks this file before the tests run: an `@ts-expect-error` above a
// line that compiles is itself an error.
import type { Accepted } from "@orrery/contracts";
import type { Parcel, Parcels } from "@orrery/contracts/parcels";
import type { Satellite, WorkContext } from "../src/index.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_Claim extends true>() => undefined;

const parcel: Parcel = { parcelId: "p-1", vendorId: "acme", customer: { city: "Recife", state: "PE" } };
const collected = { ...parcel, driverId: "d1", collectedAt: "2026-01-01T08:00:00.000Z" };
const position = { driverId: "d1", latitude: -8, longitude: -35 };
const options = { group: "drivers", capacity: 4 };

/** Compiled, never run: each function is a claim about types. */
const claims = {
  "a handler gets the data of the events that it works on": (driver: Satellite<Parcels>) => {
    driver.work("pickup", options, (data, context) => {
      holds<Equal<typeof data, Parcel>>();
      holds<Equal<typeof context, WorkContext<Parcels>>>();
      holds<Equal<typeof context.meta.attempt, number>>();
      holds<Equal<typeof context.meta.offset, number>>();
    });
    driver.work(["pickup", "in-transit"], options, (data) => {
      holds<Equal<typeof data.vendorId, string>>();
      // @ts-expect-error: only one of the events has it
      return data.collectedAt;
    });
    driver.work("pickup", options, async (_data, { done }) => done(["in-transit", collected]));
    driver.work("pickup", options, () => undefined).capacity = 8;
  },
  "an unknown event, or options without a group or a capacity, is refused": (driver: Satellite<Parcels>) => {
    // @ts-expect-error: no such event
    driver.work("pick-up", options, () => undefined);
    // @ts-expect-error: no such event
    driver.work(["pickup", "vanished"], options, () => undefined);
    // @ts-expect-error: no group
    driver.work("pickup", { capacity: 4 }, () => undefined);
    // @ts-expect-error: no capacity
    driver.work("pickup", { group: "drivers" }, () => undefined);
    // @ts-expect-error: the data has no such property
    driver.work("pickup", options, ({ driverId }) => driverId);
  },
  "emit takes the contract's events with their data": async ({ emit }: WorkContext<Parcels>) => {
    const receipt = await emit("in-transit", collected, { id: "own", timeoutMs: 100 });
    holds<Equal<typeof receipt, Accepted<number>>>();
    // @ts-expect-error: no such event
    await emit("vanished", collected);
    // @ts-expect-error: a property is missing
    await emit("in-transit", parcel);
    // @ts-expect-error: a property has the wrong type
    await emit("in-transit", { ...collected, driverId: 7 });
  },
  "done takes events as tuples, and gives a receipt for each": async ({ done }: WorkContext<Parcels>) => {
    const receipts = await done(["in-transit", collected], ["position", position, { id: "own" }]);
    holds<Equal<(typeof receipts)["length"], 2>>();
    holds<Equal<(typeof receipts)[1], Accepted<number>>>();
    const none = await done();
    holds<Equal<typeof none, readonly []>>();
    // @ts-expect-error: no such event
    await done(["vanished", collected]);
    // @ts-expect-error: the data of another event
    await done(["in-transit", position]);
    // @ts-expect-error: the data of another event, in the second place
    await done(["in-transit", collected], ["position", parcel]);
    // @ts-expect-error: no tuple
    await done("in-transit", collected);
  },
  "dead needs a reason": async ({ dead, retry }: WorkContext<Parcels>) => {
    await retry();
    // @ts-expect-error: why not?
    await dead();
  },
};

it("the compiler refuses what a handler of work may not do", () => {
  expect(Object.keys(claims)).toHaveLength(5);
});
