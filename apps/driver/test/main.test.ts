import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { runMain } from "@orrery/process/testing";
import { connect } from "@orrery/satellite";
import { observe } from "@orrery/satellite/testing";

const main = new URL("../src/main.ts", import.meta.url);

const customer = { city: "recife", state: "PE" };

async function temporaryFile(content: string) {
  const directory = await mkdtemp(join(tmpdir(), "orrery-driver-"));
  const path = join(directory, "orders.csv");
  await writeFile(path, content);
  return { path, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}

async function ask(url: string, parcelIds: readonly string[]): Promise<void> {
  const acme = connect(parcels, { url, role: "vendor", id: "acme" });
  await Promise.all(
    parcelIds.map((parcelId) => acme.emit("pickup", { parcelId, vendorId: "acme", customer })),
  );
  await acme.close();
}

describe("the driver's process", () => {
  it("plays an order file, reports bad rows with their lines, and ends with code 0 when told to", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
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
    await driver.lines.seen(/^delivered p-1 to recife \(PE\)$/);
    driver.send("SIGTERM");
    expect(await driver.ended).toBe(0);
    expect(driver.lines.all).toEqual([
      "orders.csv line 3: pickup_at: expected a time such as 2017-07-01T09:30:00Z, skipped",
      `Driver d1, for the hub at ${hub.url}`,
      "connected",
      "collected p-1 from acme",
      "delivered p-1 to recife (PE)",
      "1 collected, 1 delivered, 0 times it was said before",
    ]);
  });

  it("waits for a hub that starts later; killed and started again, it delivers each parcel once", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    const parcelIds = Array.from({ length: 1_500 }, (_, number) => `p-${number}`);
    await ask(hub.url, parcelIds);
    await hub.stop();
    const env = { HUB_URL: hub.url, DRIVER_PACE_MS: "1", DRIVER_ID: "d-7" };
    {
      await using driver = runMain(main, env);
      await driver.lines.seen(/^Driver d-7/);
      await hub.start();
      await driver.lines.seen(/^delivered/);
      driver.send("SIGKILL");
    }
    await using _again = runMain(main, env);
    await using observer = observe(parcels, hub.url, "logger");
    await observer.hears(4_500);
    await ask(hub.url, ["marker"]);
    await observer.hears(4_501);
    expect(new Set(observer.keysOf("delivered"))).toEqual(new Set(parcelIds));
    expect(new Set(observer.keysOf("in-transit"))).toEqual(new Set(parcelIds));
    expect(observer.heard.length).toBe(4_501);
  });

  it("ends with code 78 when its environment does not fit", async () => {
    await using driver = runMain(main, { DRIVER_ID: "no such id", DRIVER_SPEED: "fast" });
    expect(await driver.ended).toBe(78);
    expect(driver.lines.all).toEqual([
      "driver: The environment is not usable.",
      'DRIVER_ID: expected ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$, got "no such id"',
      'DRIVER_SPEED: expected "max" or the seconds that a recorded day takes, such as 60, got "fast"',
    ]);
  });
});
