import { lifecycle, type Order } from "../src/index.ts";

const order = { parcelId: "p-1", vendorId: "acme", city: "recife", state: "PE" };
const times = [undefined, 1, 2, 3];

describe("lifecycle", () => {
  it("lists what the row has", () => {
    expect(lifecycle({ ...order, pickupAtMs: 1 })).toEqual([{ event: "pickup", dueMs: 1 }]);
    expect(lifecycle({ ...order, pickupAtMs: 1, inTransitAtMs: 2, deliveredAtMs: 3 })).toEqual([
      { event: "pickup", dueMs: 1 },
      { event: "in-transit", dueMs: 2 },
      { event: "delivered", dueMs: 3 },
    ]);
    expect(lifecycle({ ...order, pickupAtMs: 1, deliveredAtMs: 3 })).toEqual([
      { event: "pickup", dueMs: 1 },
      { event: "delivered", dueMs: 3 },
    ]);
  });

  it("makes a parcel delivered no earlier than in transit where it was recorded the other way round", () => {
    expect(lifecycle({ ...order, pickupAtMs: 1, inTransitAtMs: 5, deliveredAtMs: 3 })).toEqual([
      { event: "pickup", dueMs: 1 },
      { event: "in-transit", dueMs: 5 },
      { event: "delivered", dueMs: 5 },
    ]);
  });

  it("keeps the order of the stages and never goes back in time, however the times were recorded", () => {
    for (const inTransitAtMs of times) {
      for (const deliveredAtMs of times) {
        const row = { ...order, pickupAtMs: 2, inTransitAtMs, deliveredAtMs } as Order;
        const steps = lifecycle(row);
        expect(steps.map(({ event }) => event)).toEqual([
          "pickup",
          ...(inTransitAtMs ? ["in-transit"] : []),
          ...(deliveredAtMs ? ["delivered"] : []),
        ]);
        const due = steps.map(({ dueMs }) => dueMs);
        expect(due).toEqual(due.toSorted((a, b) => a - b));
      }
    }
  });
});
