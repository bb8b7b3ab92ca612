import { type Parcel, parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import type { Order } from "@orrery/order-file";
import { Lines } from "@orrery/process/testing";
import { connect } from "@orrery/satellite";
import { observe } from "@orrery/satellite/testing";
import { journeysOf } from "../src/journey.ts";
import { startDriver } from "../src/start-driver.ts";

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
const idsOf = (count: number) => Array.from({ length: count }, (_, number) => `p-${number}`);

/** Says one pickup each, as acme. */
async function ask(url: string, parcelIds: readonly string[]): Promise<void> {
  const acme = connect(parcels, { url, role: "vendor", id: "acme" });
  const parcelOf = (parcelId: string): Parcel => ({
    parcelId,
    vendorId: "acme",
    customer: { city: "recife", state: "PE" },
  });
  await Promise.all(
    parcelIds.map((parcelId) => acme.emit("pickup", parcelOf(parcelId), { id: `pickup:${parcelId}` })),
  );
  await acme.close();
}

function driver(
  hubUrl: string,
  { driverId = "d1", orders = [], secondsPerDay = 0, paceMs = 0 }: Partial<DriverOptions>,
) {
  const lines = new Lines();
  const faults: unknown[] = [];
  const running = startDriver({
    hubUrl,
    driverId,
    journeyOf: journeysOf({ orders, secondsPerDay, paceMs }),
    print: lines.print,
    onFault: (error) => faults.push(error),
  });
  const stop = () => running.stop();
  return { lines, faults, stop, [Symbol.asyncDispose]: stop };
}
interface DriverOptions {
  readonly driverId: string;
  readonly orders: readonly Order[];
  readonly secondsPerDay: number;
  readonly paceMs: number;
}

describe("a driver", () => {
  it("collects each parcel at its pace after the pickup, and delivers it as long after that", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    await using _driver = driver(hub.url, { paceMs: 150 });
    await ask(hub.url, ["p-1"]);
    await observer.hears(3);
    const [pickup, collected, delivered] = observer.heard;
    const customer = { city: "recife", state: "PE" };
    expect(collected).toEqual({
      event: "in-transit",
      data: {
        parcelId: "p-1",
        vendorId: "acme",
        customer,
        driverId: "d1",
        collectedAt: expect.stringMatching(/Z$/),
      },
      meta: expect.objectContaining({ id: "in-transit:p-1", source: "driver:d1" }),
    });
    expect(delivered).toMatchObject({ event: "delivered", meta: { id: "delivered:p-1" } });
    const times = [pickup, collected, delivered].map((one) => Date.parse(one?.meta.time as string));
    const [pickupMs, collectedMs, deliveredMs] = times as [number, number, number];
    expect(collectedMs - pickupMs).toBeGreaterThanOrEqual(150);
    expect(deliveredMs - pickupMs).toBeGreaterThanOrEqual(300);
  });

  it("plays the orders' rows: what was recorded, with the recorded times, and no more", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
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
    expect(running.lines.matching(/refused/)).toEqual([]);
  });

  it("takes up, when it is started again, what it never finished, and delivers each parcel once", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    await ask(hub.url, idsOf(1_500));
    {
      await using first = driver(hub.url, {});
      await first.lines.seen(/^delivered/, 100);
    }
    expect(observer.keysOf("delivered").length).toBeLessThan(1_500);
    await using again = driver(hub.url, {});
    await observer.hears(4_500);
    expectEachOnceInOrder(observer.heard, 1_500);
    expect(again.lines.matching(/refused/)).toEqual([]);
  });

  it("does not deliver what another driver has", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    await using first = driver(hub.url, { driverId: "d1" });
    await using second = driver(hub.url, { driverId: "d2" });
    await first.lines.seen(/^connected$/);
    await second.lines.seen(/^connected$/);
    await ask(hub.url, idsOf(600));
    await observer.hears(1_800);
    await Promise.all([first.stop(), second.stop()]);
    await ask(hub.url, ["marker"]);
    await observer.hears(1_801);
    observer.heard.pop();
    expectEachOnceInOrder(observer.heard, 600);
    const lines = [...first.lines.all, ...second.lines.all];
    expect(lines.filter((line) => line.includes("refused"))).toEqual([]);
  });

  it("goes on where it was when the hub is restarted", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await ask(hub.url, idsOf(1_500));
    await using running = driver(hub.url, {});
    await running.lines.seen(/^delivered/, 10);
    await hub.stop();
    await running.lines.seen(/^connection lost/);
    await hub.start();
    await using observer = observe(parcels, hub.url, "logger");
    await observer.hears(4_500);
    expectEachOnceInOrder(observer.heard, 1_500);
    expect(running.faults).toEqual([]);
  });
});

function expectEachOnceInOrder(heard: ReturnType<typeof observe>["heard"], count: number): void {
  const told = new Map<string, string[]>();
  const drivers = new Map<string, Set<unknown>>();
  for (const { event, data, meta } of heard) {
    const parcelId = String(meta.subject);
    told.set(parcelId, [...(told.get(parcelId) ?? []), event]);
    if (event === "pickup") drivers.set(parcelId, new Set());
    else drivers.get(parcelId)?.add(data.driverId);
  }
  expect(told.size).toBe(count);
  for (const events of told.values()) expect(events).toEqual(["pickup", "in-transit", "delivered"]);
  for (const names of drivers.values()) expect(names.size).toBe(1);
}
