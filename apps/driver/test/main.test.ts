import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { runMain } from "@orrery/process/testing";
import { developmentKey, signToken } from "@orrery/tokens";
import { ask, expectEachOnceInOrder, idsOf, observeParcels } from "./orders.ts";

const main = new URL("../src/main.ts", import.meta.url);

/** A connection that is gone is given up soon. */
const limits = { graceMs: 300 };

async function temporaryFile(content: string) {
  const directory = await mkdtemp(join(tmpdir(), "orrery-driver-"));
  const path = join(directory, "orders.csv");
  await writeFile(path, content);
  return { path, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}

describe("the driver's process", () => {
  it("plays an order file, reports bad rows with their lines, and ends with code 0 when told to", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observeParcels(hub.url);
    await using file = await temporaryFile(
      [
        "order_id,vendor_id,customer_city,customer_state,pickup_at,in_transit_at,delivered_at",
        "p-1,acme,recife,PE,2017-07-01T10:13:00Z,2017-07-02T10:13:00Z,2017-07-03T10:13:00Z",
        "p-2,acme,recife,PE,yesterday,,",
      ].join("\n"),
    );
    await using driver = runMain(main, { HUB_URL: hub.url, DRIVER_ORDERS: file.path, DRIVER_SPEED: "max" });
    await ask(hub.url, ["p-1"]);
    await observer.hears(3);
    expect(observer.heard[2]?.data).toMatchObject({
      driverId: "d1",
      deliveredAt: "2017-07-03T10:13:00.000Z",
    });
    await driver.lines.seen(/^d1 delivered p-1 to recife \(PE\)$/);
    driver.send("SIGTERM");
    expect(await driver.ended).toBe(0);
    expect(driver.lines.all).toEqual([
      "orders.csv line 3: pickup_at: expected a time such as 2017-07-01T09:30:00Z, skipped",
      expect.stringMatching(`^Driving as d1 in process \\d+, for the hub at ${hub.url}$`),
      "d1 connected",
      "d1 collected p-1 from acme",
      "d1 delivered p-1 to recife (PE)",
      "d1 stopped: 1 collected, 1 delivered, 0 taken over, 0 given back",
    ]);
  });

  it("waits for a hub that starts later; killed and started again, it delivers each parcel once", async () => {
    await using hub = await startHub({ contracts: [parcels], limits });
    await ask(hub.url, idsOf(1_500));
    await hub.stop();
    const env = { HUB_URL: hub.url, DRIVER_PACE_MS: "1", DRIVER_ID: "d-7" };
    {
      await using driver = runMain(main, env);
      await driver.lines.seen(/^Driving as d-7 /);
      await hub.start();
      await driver.lines.seen(/^d-7 delivered/);
      driver.send("SIGKILL");
    }
    await using _again = runMain(main, env);
    await using observer = observeParcels(hub.url);
    await observer.hears(4_500);
    expectEachOnceInOrder(observer.heard, idsOf(1_500));
  });

  it("killed with parcels on the road, leaves them to another driver: each is collected and delivered once", async () => {
    await using hub = await startHub({ contracts: [parcels], limits });
    await using observer = observeParcels(hub.url);
    const env = { HUB_URL: hub.url, DRIVER_PACE_MS: "1500" };
    await using killed = runMain(main, { ...env, DRIVER_ID: "d1" });
    await using other = runMain(main, { ...env, DRIVER_ID: "d2" });
    await killed.lines.seen(/^d1 connected/);
    await other.lines.seen(/^d2 connected/);
    await ask(hub.url, idsOf(200));
    await killed.lines.seen(/^d1 collected/, 10);
    killed.send("SIGKILL");
    await killed.ended;
    await observer.hears(600);
    expectEachOnceInOrder(observer.heard, idsOf(200));
    expect(killed.lines.matching(/^d1 delivered/)).toEqual([]);
    expect(other.lines.matching(/^d2 took over/).length).toBeGreaterThanOrEqual(10);
    await other.lines.seen(/^d2 delivered/, 200);
  });

  it("says nothing more of a parcel whose lease it has lost, though it does not know yet", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observeParcels(hub.url);
    const env = { HUB_URL: hub.url, DRIVER_PACE_MS: "500", DRIVER_LEASE_MS: "600" };
    await using frozen = runMain(main, { ...env, DRIVER_ID: "d1" });
    await frozen.lines.seen(/^d1 connected/);
    await ask(hub.url, ["p-1"]);
    await frozen.lines.seen(/^d1 collected p-1/);
    frozen.send("SIGSTOP");
    await using other = runMain(main, { ...env, DRIVER_ID: "d2" });
    await other.lines.seen(/^d2 delivered p-1/);
    frozen.send("SIGCONT");
    await frozen.lines.seen(/^d1 leaves p-1 for now, LEASE_LOST/);
    await ask(hub.url, ["p-2"]);
    await observer.hears(6);
    expectEachOnceInOrder(observer.heard, ["p-1", "p-2"]);
    expect(frozen.lines.matching(/delivered p-1/)).toEqual([]);
  });

  it("is several drivers where it is asked to, each with parcels of its own", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observeParcels(hub.url);
    await using driver = runMain(main, { HUB_URL: hub.url, DRIVER_COUNT: "3", DRIVER_PACE_MS: "1" });
    await driver.lines.seen(/^d[123] connected$/, 3);
    expect(driver.lines.all[0]).toMatch(/^Driving as d1, d2, d3 in process \d+/);
    await ask(hub.url, idsOf(30));
    await observer.hears(90);
    expectEachOnceInOrder(observer.heard, idsOf(30));
    const drivers = observer.heard.map(({ data }) => data.driverId).filter(Boolean);
    expect(new Set(drivers)).toEqual(new Set(["d1", "d2", "d3"]));
    driver.send("SIGTERM");
    expect(await driver.ended).toBe(0);
    expect(driver.lines.matching(/^d[123] stopped/)).toHaveLength(3);
  });

  it("numbers the drivers of a name", async () => {
    await using driver = runMain(main, { DRIVER_COUNT: "2", DRIVER_ID: "north" });
    await driver.lines.seen(/^Driving as north-1, north-2 in process/);
  });

  it("shows who each driver is by tokens of its own making", async () => {
    await using key = await temporaryFile("");
    const file = `${key.path}.json`;
    await using hub = await startHub({ contracts: [parcels], keys: await developmentKey(file) });
    await using driver = runMain(main, { HUB_URL: hub.url, ORRERY_DEV_KEY: file, DRIVER_COUNT: "2" });
    await driver.lines.seen(/^d[12] connected$/, 2);
    driver.send("SIGTERM");
    expect(await driver.ended).toBe(0);
    expect(driver.lines.matching(/^d[12] refused/)).toEqual([]);
  });

  it("says once, in a line, why the hub refuses it, and that it needs a token", async () => {
    await using key = await temporaryFile("");
    const keys = await developmentKey(`${key.path}.json`);
    await using hub = await startHub({ contracts: [parcels], keys });
    await using driver = runMain(main, { HUB_URL: hub.url, DRIVER_COUNT: "2" });
    expect(await driver.ended).toBe(1);
    expect(driver.lines.all).toEqual([
      expect.stringMatching(/^Driving as d1, d2 /),
      "driver: HANDSHAKE_INVALID: The handshake is not of a form that the hub understands. token: expected a token: the hub has keys, and lets nobody in without one",
      expect.stringMatching(/^d[12] stopped: /),
      expect.stringMatching(/^d[12] stopped: /),
    ]);
  });

  it("is the driver that its one token names, and cannot be two by it", async () => {
    await using key = await temporaryFile("");
    const claims = { satellite: "driver:d7", contract: parcels.name, lifetimeMs: 60_000 };
    const token = await signToken(await developmentKey(`${key.path}.json`), claims);
    await using one = runMain(main, { SATELLITE_TOKEN: token, HUB_URL: "http://127.0.0.1:9" });
    await one.lines.seen(/^Driving as d7 in process/);
    await using two = runMain(main, { SATELLITE_TOKEN: token, DRIVER_COUNT: "2" });
    expect(await two.ended).toBe(78);
    expect(two.lines.all).toEqual([
      "driver: CONFIG_INVALID: The configuration is not usable. The one token that is there is driver:d7's, and driver:d1 needs one.",
    ]);
  });

  it("ends with code 78 when its environment does not fit", async () => {
    await using driver = runMain(main, {
      DRIVER_ID: "no such id",
      DRIVER_COUNT: "0",
      DRIVER_CAPACITY: "10001",
      DRIVER_LEASE_MS: "short",
      DRIVER_SPEED: "fast",
    });
    expect(await driver.ended).toBe(78);
    expect(driver.lines.all).toEqual([
      "driver: CONFIG_INVALID: The environment is not usable.",
      'DRIVER_ID: expected ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$, got "no such id"',
      'DRIVER_COUNT: expected a whole number from 1 to 100, got "0"',
      'DRIVER_CAPACITY: expected a whole number from 1 to 10000, got "10001"',
      'DRIVER_LEASE_MS: expected a whole number from 100 to 600000, got "short"',
      'DRIVER_SPEED: expected "max" or the seconds that a recorded day takes, such as 60, got "fast"',
    ]);
  });
});
