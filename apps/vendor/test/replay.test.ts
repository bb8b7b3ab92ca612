import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import type { Order } from "@orrery/order-file";
import { Lines } from "@orrery/process/testing";
import { connect } from "@orrery/satellite";
import { observe } from "@orrery/satellite/testing";
import { replay } from "../src/replay.ts";
import { startVendor } from "../src/start-vendor.ts";

const firstMs = Date.parse("2017-07-01T10:00:00Z");
const dayMs = 86_400_000;

/** One order a recorded day, for three vendors in turn. */
const ordersOf = (count: number): Order[] =>
  Array.from({ length: count }, (_, day) => ({
    parcelId: `p-${day}`,
    vendorId: `v-${day % 3}`,
    city: "sao paulo",
    state: "SP",
    pickupAtMs: firstMs + day * dayMs,
  }));
const idsOf = (orders: readonly Order[]) => orders.map(({ parcelId }) => parcelId);

let outbox = "";
beforeEach(async () => {
  outbox = await mkdtemp(join(tmpdir(), "orrery-outbox-"));
});
afterEach(() => rm(outbox, { recursive: true }));

function vendor(hubUrl: string, orders: readonly Order[], options: { secondsPerDay?: number } = {}) {
  const lines = new Lines();
  const play = replay({
    fileName: "orders.csv",
    orders,
    faults: [],
    secondsPerDay: 0,
    print: lines.print,
    ...options,
  });
  const running = startVendor({ hubUrl, outbox, print: lines.print, play });
  const stop = () => running.stop();
  return { lines, stop, [Symbol.asyncDispose]: stop };
}

describe("a vendor that replays orders", () => {
  it("asks for each pickup in recorded order, as its vendor", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    const orders = ordersOf(20);
    await using running = vendor(hub.url, orders.toReversed());
    await running.lines.seen(/at its end/);
    await observer.hears(20);
    expect(observer.keysOf("pickup")).toEqual(idsOf(orders));
    expect(observer.heard[4]).toEqual({
      event: "pickup",
      data: { parcelId: "p-4", vendorId: "v-1", customer: { city: "sao paulo", state: "SP" } },
      meta: expect.objectContaining({ id: "pickup:p-4", source: "vendor:v-1" }),
    });
    expect(running.lines.all).toEqual([
      "connected",
      "orders.csv is at its end: 20 pickups asked for, 0 were asked for before",
    ]);
  });

  it("keeps the recorded distances, at the speed asked for", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    await using running = vendor(hub.url, ordersOf(4), { secondsPerDay: 0.1 });
    await running.lines.seen(/at its end/);
    await observer.hears(4);
    const times = observer.heard.map(({ meta }) => Date.parse(meta.time));
    expect((times[3] as number) - (times[0] as number)).toBeGreaterThanOrEqual(280); // 300, less the first receipt's way
  });

  it("makes no second pickup when it is started again, and goes on without waiting for what was", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    const orders = ordersOf(12);
    await using first = vendor(hub.url, orders.slice(0, 8));
    await first.lines.seen(/at its end/);
    await first.stop();

    await using again = vendor(hub.url, orders.slice(0, 9), { secondsPerDay: 86_400 });
    await again.lines.seen(/at its end: 1 pickups asked for, 8 were asked for before/);
    await again.stop();

    await using last = vendor(hub.url, orders.slice(0, 9));
    await last.lines.seen(/The hub has all of them already/);
    await last.lines.seen(/VENDOR_ORDERS=none/);
    await observer.hears(9);
    expect(observer.keysOf("pickup")).toEqual(idsOf(orders.slice(0, 9)));
  });

  it("reports what does not fit or is refused, and goes on with the rest", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    const [first, , third] = ordersOf(3) as [Order, Order, Order];
    const lines = new Lines();
    const play = replay({
      fileName: "orders.csv",
      orders: [first, { ...first, city: "rio de janeiro" }, third],
      faults: [{ line: 17, message: "expected 7 fields, got 3" }],
      secondsPerDay: 0,
      print: lines.print,
    });
    const running = startVendor({ hubUrl: hub.url, outbox, print: lines.print, play });
    await using _vendor = { [Symbol.asyncDispose]: () => running.stop() };
    await lines.seen(/at its end/);
    await observer.hears(2);
    expect(observer.keysOf("pickup")).toEqual(["p-0", "p-2"]);
    expect(lines.all).toEqual([
      "orders.csv line 17: expected 7 fields, got 3, skipped",
      "connected",
      "orders.csv parcel p-0: refused, ID_REUSED: Another event was already said under this id.",
      "orders.csv is at its end: 2 pickups asked for, 0 were asked for before",
    ]);
  });

  it("goes on where it was when the hub is restarted in between", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    const orders = ordersOf(400);
    await using running = vendor(hub.url, orders);
    {
      await using observer = observe(parcels, hub.url, "logger");
      await observer.hears(20);
    }
    await hub.stop();
    await running.lines.seen(/^connection lost/);
    await hub.start();
    await running.lines.seen(/at its end: 400 pickups/);
    await using observer = observe(parcels, hub.url, "logger");
    await observer.hears(400);
    expect(observer.keysOf("pickup")).toEqual(idsOf(orders));
    expect(running.lines.all).toEqual([
      "connected",
      "connection lost, reconnecting",
      "connected",
      expect.stringContaining("at its end"),
    ]);
  });

  it("stops while it waits for the next order's time, or for a hub", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    await using waiting = vendor(hub.url, ordersOf(2), { secondsPerDay: 86_400 });
    await observer.hears(1);
    await waiting.stop();
    await hub.stop();
    await using alone = vendor(hub.url, ordersOf(2));
    await alone.stop();
    expect(alone.lines.all).toEqual([]);
  });
});

it("thanks each customer for whom one of its vendors hears that the parcel was delivered", async () => {
  await using hub = await startHub({ contracts: [parcels] });
  const lines = new Lines();
  const places = { city: "sao paulo", state: "SP" };
  const asked = [
    { parcelId: "2e7a8482f6fb09756ca50c10d7bfc047", vendorId: "acme", customer: places },
    { parcelId: "p-2", vendorId: "bolt", customer: { name: "Ana Souza", ...places } },
  ];
  const running = startVendor({
    outbox,
    hubUrl: hub.url,
    print: lines.print,
    play: async (ask) => {
      for (const parcel of asked) await ask(parcel);
      lines.print("asked");
    },
  });
  await using _vendor = { [Symbol.asyncDispose]: () => running.stop() };
  await lines.seen(/^asked$/);
  const driver = connect(parcels, { url: hub.url, role: "driver", id: "d1" });
  await using _driver = { [Symbol.asyncDispose]: () => driver.close() };
  const deliveredAt = new Date().toISOString();
  for (const parcel of asked) await driver.emit("delivered", { ...parcel, driverId: "d1", deliveredAt });
  await lines.seen(/^Thank you/, 2);
  expect(lines.matching(/^Thank you/).sort()).toEqual([
    "Thank you, Ana Souza of sao paulo (SP): parcel p-2 delivered by d1",
    "Thank you, sao paulo (SP): parcel 2e7a8482… delivered by d1",
  ]);
});
