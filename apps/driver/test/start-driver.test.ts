import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import type { Order } from "@orrery/order-file";
import { Lines } from "@orrery/process/testing";
import { connect } from "@orrery/satellite";
import { observe } from "@orrery/satellite/testing";
import { journeysOf } from "../src/journey.ts";
import { placeOf } from "../src/places.ts";
import { startDriver } from "../src/start-driver.ts";
import { ask, expectEachOnceInOrder, idsOf, observeParcels, parcelOf } from "./orders.ts";

const dayMs = 86_400_000;
const pickupAtMs = Date.parse("2017-07-01T00:00:00Z");
const orderOf = (parcelId: string, days: { inTransit?: number; delivered?: number }): Order => ({
  parcelId,
  vendorId: "acme",
  city: "recife",
  state: "PE",
  pickupAtMs,
  ...(days.inTransit !== undefined && { inTransitAtMs: pickupAtMs + days.inTransit * dayMs }),
  ...(days.delivered !== undefined && { deliveredAtMs: pickupAtMs + days.delivered * dayMs }),
});

interface DriverOptions {
  readonly driverId: string;
  readonly orders: readonly Order[];
  readonly secondsPerDay: number;
  readonly paceMs: number;
  readonly capacity: number;
}

function driver(
  hubUrl: string,
  {
    driverId = "d1",
    orders = [],
    secondsPerDay = 0,
    paceMs = 0,
    capacity = 1_000,
  }: Partial<DriverOptions> = {},
) {
  const lines = new Lines();
  const faults: unknown[] = [];
  const running = startDriver({
    hubUrl,
    driverId,
    journeyOf: journeysOf({ orders, secondsPerDay, paceMs }),
    capacity,
    leaseMs: 30_000,
    positionMs: 50,
    print: lines.print,
    onFault: (error) => faults.push(error),
  });
  const stop = () => running.stop();
  return { lines, faults, stop, [Symbol.asyncDispose]: stop };
}

/** A driver that asks how the group stands. */
function askingAt(url: string) {
  const satellite = connect(parcels, { url, role: "driver", id: "asking" });
  return Object.assign(satellite, { [Symbol.asyncDispose]: () => satellite.close() });
}

describe("a driver", () => {
  it("collects each parcel at its pace after the pickup, and delivers it as long after that", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observeParcels(hub.url);
    await using _driver = driver(hub.url, { paceMs: 150 });
    await ask(hub.url, ["p-1"]);
    await observer.hears(3);
    const [pickup, collected, delivered] = observer.heard;
    expect(collected).toEqual({
      event: "in-transit",
      data: { ...parcelOf("p-1"), driverId: "d1", collectedAt: expect.stringMatching(/Z$/) },
      meta: expect.objectContaining({
        id: "drivers:1:in-transit",
        source: "driver:d1",
        causationId: "pickup:p-1",
      }),
    });
    expect(delivered).toMatchObject({ event: "delivered", meta: { id: "drivers:1:delivered" } });
    const times = [pickup, collected, delivered].map((one) => Date.parse(one?.meta.time as string));
    const [pickupMs, collectedMs, deliveredMs] = times as [number, number, number];
    expect(collectedMs - pickupMs).toBeGreaterThanOrEqual(150);
    expect(deliveredMs - pickupMs).toBeGreaterThanOrEqual(300);
  });

  it("plays the orders' rows: what was recorded, with the recorded times, and no more", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observeParcels(hub.url);
    const orders = [
      orderOf("usual", { inTransit: 1, delivered: 3 }),
      orderOf("reversed", { inTransit: 3, delivered: 1 }),
      orderOf("never-in-transit", { delivered: 2 }),
      orderOf("never-delivered", { inTransit: 2 }),
      orderOf("nothing", {}),
    ];
    await ask(
      hub.url,
      orders.map(({ parcelId }) => parcelId),
    );
    await using running = driver(hub.url, { orders });
    await observer.hears(5 + 6);
    await ask(hub.url, ["marker"]);
    await observer.hears(5 + 6 + 3);
    const toldOf = (parcelId: string) =>
      observer.heard
        .filter(({ event, data }) => event !== "pickup" && data.parcelId === parcelId)
        .map(({ event, data }) => [event, data.collectedAt ?? data.deliveredAt]);
    const day = (days: number) => new Date(pickupAtMs + days * dayMs).toISOString();
    expect(toldOf("usual")).toEqual([
      ["in-transit", day(1)],
      ["delivered", day(3)],
    ]);
    expect(toldOf("reversed")).toEqual([
      ["in-transit", day(3)],
      ["delivered", day(1)],
    ]);
    expect(toldOf("never-in-transit")).toEqual([["delivered", day(2)]]);
    expect(toldOf("never-delivered")).toEqual([["in-transit", day(2)]]);
    expect(toldOf("nothing")).toEqual([]);
    await running.stop();
    await using asking = askingAt(hub.url);
    expect(await asking.groups()).toMatchObject([{ group: "drivers", waiting: 0, held: 0, dead: 0 }]);
  });

  it("shares the parcels with the others of its group, each parcel to one of them", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observeParcels(hub.url);
    await using first = driver(hub.url, { driverId: "d1", capacity: 10 });
    await using second = driver(hub.url, { driverId: "d2", capacity: 10 });
    await first.lines.seen(/^d1 connected$/);
    await second.lines.seen(/^d2 connected$/);
    await ask(hub.url, idsOf(600));
    await observer.hears(1_800);
    expectEachOnceInOrder(observer.heard, idsOf(600));
    const drivers = new Map<unknown, Set<unknown>>();
    for (const { event, data, meta } of observer.heard) {
      if (event === "pickup") continue;
      drivers.set(meta.subject, (drivers.get(meta.subject) ?? new Set()).add(data.driverId));
    }
    expect([...drivers.values()].map(({ size }) => size)).toEqual(idsOf(600).map(() => 1));
    expect(new Set([...drivers.values()].flatMap((names) => [...names]))).toEqual(new Set(["d1", "d2"]));
  });

  it("takes up, when it is started again, what it never finished, and delivers each parcel once", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observeParcels(hub.url);
    await ask(hub.url, idsOf(1_500));
    {
      await using first = driver(hub.url, { capacity: 50 });
      await first.lines.seen(/^d1 delivered/, 100);
    }
    expect(observer.keysOf("delivered").length).toBeLessThan(1_500);
    await using again = driver(hub.url);
    await observer.hears(4_500);
    expectEachOnceInOrder(observer.heard, idsOf(1_500));
    expect(again.faults).toEqual([]);
  });

  it("goes on where it was when the hub is restarted", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await ask(hub.url, idsOf(1_500));
    await using running = driver(hub.url);
    await running.lines.seen(/^d1 delivered/, 10);
    await hub.stop();
    await running.lines.seen(/^d1 connection lost/);
    await hub.start();
    await using observer = observeParcels(hub.url);
    await observer.hears(4_500);
    expectEachOnceInOrder(observer.heard, idsOf(1_500));
    expect(running.faults).toEqual([]);
  });

  it("that is stopped finishes what is due soon, and gives the rest to another one, who does not collect it again", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observeParcels(hub.url);
    const orders = [
      orderOf("soon", { inTransit: 0, delivered: 0.6 }),
      orderOf("later", { inTransit: 0, delivered: 2.5 }),
    ];
    const options = { orders, secondsPerDay: 1 };
    await using first = driver(hub.url, { ...options, driverId: "d1" });
    await ask(hub.url, ["soon", "later"]);
    await first.lines.seen(/^d1 collected/, 2);
    await using second = driver(hub.url, { ...options, driverId: "d2" });
    await second.lines.seen(/^d2 connected$/);
    await first.stop();
    expect(first.lines.all.at(-1)).toBe("d1 stopped: 2 collected, 1 delivered, 0 taken over, 1 given back");
    await second.lines.seen(/^d2 took over later$/);
    await observer.hears(6);
    expectEachOnceInOrder(observer.heard, ["soon", "later"]);
    const deliveredBy = observer.heard.flatMap(({ event, data }) =>
      event === "delivered" ? [[data.parcelId, data.driverId]] : [],
    );
    expect(deliveredBy).toEqual([
      ["soon", "d1"],
      ["later", "d2"],
    ]);
  });

  it("stops at once where there is no hub to give anything back to", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    const running = driver(hub.url, { paceMs: 600_000 });
    await running.lines.seen(/^d1 connected$/);
    await using asking = askingAt(hub.url);
    await ask(hub.url, ["p-1"]);
    for (let held = 0; held === 0; ) held = (await asking.groups())[0]?.held ?? 0;
    await hub.stop();
    await running.lines.seen(/^d1 connection lost/);
    await running.stop();
    expect(running.lines.all.at(-1)).toMatch(/^d1 stopped: 0 collected/);
    expect(running.faults).toEqual([]);
  });

  it("tells where it is while it drives, nearer and nearer to the customer", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    await using _driver = driver(hub.url, { paceMs: 400 });
    await ask(hub.url, ["p-1"]);
    for (let count = 1; observer.keysOf("delivered").length === 0; count += 1) await observer.hears(count);
    const events = observer.heard.map(({ event }) => event);
    expect(events.slice(0, 3)).toEqual(["pickup", "in-transit", "position"]);
    const recife = placeOf("PE") as { latitude: number; longitude: number };
    const farness = observer.heard
      .filter(({ event }) => event === "position")
      .map(({ data }) =>
        Math.hypot(Number(data.latitude) - recife.latitude, Number(data.longitude) - recife.longitude),
      );
    expect(farness).toEqual(farness.toSorted((a, b) => b - a));
    expect(observer.heard.find(({ event }) => event === "position")?.data.driverId).toBe("d1");
  });

  it("gives a parcel up, with the reason, when what it has to say of it is refused for good", async () => {
    // A pickup fits, and what the driver adds to it does not.
    const limits = { eventBytes: JSON.stringify(parcelOf("p-1")).length };
    await using hub = await startHub({ contracts: [parcels], limits });
    await using running = driver(hub.url);
    const acme = connect(parcels, { url: hub.url, role: "vendor", id: "acme" });
    await acme.emit("pickup", parcelOf("p-1"));
    await running.lines.seen(/^d1 gives up p-1, EVENT_TOO_LARGE/);
    await using asking = askingAt(hub.url);
    let dead = await asking.dead("drivers");
    while (dead.length === 0) dead = await asking.dead("drivers");
    expect(dead).toMatchObject([
      { reason: "refused", attempts: 1, by: "driver:d1", error: expect.stringMatching(/^EVENT_TOO_LARGE/) },
    ]);
    await acme.close();
  });
});
