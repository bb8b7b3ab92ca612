import type { Order } from "@orrery/order-file";
import { journeysOf } from "../src/journey.ts";

const at = (time: string) => Date.parse(time);
const order: Order = {
  parcelId: "p-1",
  vendorId: "acme",
  city: "sao paulo",
  state: "SP",
  pickupAtMs: at("2017-07-01T00:00:00Z"),
};
const journey = (rest: Partial<Order>, secondsPerDay = 2) =>
  journeysOf({ orders: [{ ...order, ...rest }], secondsPerDay, paceMs: 700 })("p-1");

describe("a parcel's journey", () => {
  it("goes by the pace where no order is known", () => {
    expect(journeysOf({ orders: [], secondsPerDay: 2, paceMs: 700 })("p-1")).toEqual([
      { event: "in-transit", afterMs: 700 },
      { event: "delivered", afterMs: 1_400 },
    ]);
  });

  it("has the order's recorded times, at the speed asked for", () => {
    const inTransitAtMs = at("2017-07-02T12:00:00Z");
    const deliveredAtMs = at("2017-07-05T00:00:00Z");
    expect(journey({ inTransitAtMs, deliveredAtMs })).toEqual([
      { event: "in-transit", afterMs: 3_000, recordedMs: inTransitAtMs },
      { event: "delivered", afterMs: 8_000, recordedMs: deliveredAtMs },
    ]);
    expect(journey({ inTransitAtMs, deliveredAtMs }, 0)).toMatchObject([{ afterMs: 0 }, { afterMs: 0 }]);
  });

  it("delivers after collecting where it was recorded the other way round, and keeps the times as recorded", () => {
    const inTransitAtMs = at("2017-07-05T00:00:00Z");
    const deliveredAtMs = at("2017-07-02T00:00:00Z");
    expect(journey({ inTransitAtMs, deliveredAtMs })).toEqual([
      { event: "in-transit", afterMs: 8_000, recordedMs: inTransitAtMs },
      { event: "delivered", afterMs: 8_000, recordedMs: deliveredAtMs },
    ]);
  });

  it("goes only as far as the order got", () => {
    const inTransitAtMs = at("2017-07-02T00:00:00Z");
    const deliveredAtMs = at("2017-07-03T00:00:00Z");
    expect(journey({ inTransitAtMs })).toMatchObject([{ event: "in-transit" }]);
    expect(journey({ deliveredAtMs })).toMatchObject([{ event: "delivered" }]);
    expect(journey({})).toEqual([]);
  });
});
