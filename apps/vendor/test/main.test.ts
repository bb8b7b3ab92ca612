import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { runMain } from "@orrery/process/testing";
import { connect } from "@orrery/satellite";
import { observe } from "@orrery/satellite/testing";
import { developmentKey, signToken, tokenSource } from "@orrery/tokens";

const main = new URL("../src/main.ts", import.meta.url);

async function temporaryFile(content: string) {
  const directory = await mkdtemp(join(tmpdir(), "orrery-vendor-"));
  const path = join(directory, "orders.csv");
  await writeFile(path, content);
  return { path, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}

describe("the vendor's process", () => {
  let directory = "";
  /** With an outbox of the test's own. */
  const run = (env: Readonly<Record<string, string>>) =>
    runMain(main, { VENDOR_OUTBOX: join(directory, "outbox"), ...env });
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "orrery-vendor-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it("replays the shipped orders and ends with code 0 when told to", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    await using vendor = run({ HUB_URL: hub.url, VENDOR_SPEED: "max" });
    await vendor.lines.seen(/^orders.csv is at its end: 472 pickups asked for, 0/);
    await observer.hears(472);
    vendor.send("SIGTERM");
    expect(await vendor.ended).toBe(0);
  });

  it("waits for a hub that starts later; killed and started again, it makes no second pickup", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await hub.stop();
    const env = { HUB_URL: hub.url, VENDOR_SPEED: "max" };
    {
      await using vendor = run(env);
      await vendor.lines.seen(/^Replaying 472 orders/);
      await hub.start();
      await using observer = observe(parcels, hub.url, "logger");
      await observer.hears(50);
      vendor.send("SIGKILL");
    }
    await using again = run(env);
    await again.lines.seen(/were asked for before, going on with the rest$/);
    await again.lines.seen(/^orders.csv is at its end/);
    await using observer = observe(parcels, hub.url, "logger");
    await observer.hears(472);
    expect(new Set(observer.keysOf("pickup")).size).toBe(472);
    expect(observer.heard).toHaveLength(472);
  });

  it("reports bad rows with their lines and asks for the rest", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using file = await temporaryFile(
      [
        "order_id,vendor_id,customer_city,customer_state,pickup_at,in_transit_at,delivered_at",
        "p-1,acme,sao paulo,SP,2017-07-01T10:13:00Z,,",
        "p-2,acme,sao paulo,SP,yesterday,,",
        "p-3,acme,sao paulo,SP,2017-07-01T10:15:00Z,,",
      ].join("\n"),
    );
    await using vendor = run({ HUB_URL: hub.url, VENDOR_ORDERS: file.path });
    await vendor.lines.seen(/at its end: 2 pickups/);
    expect(vendor.lines.all).toContain(
      "orders.csv line 3: pickup_at: expected a time such as 2017-07-01T09:30:00Z, skipped",
    );
  });

  it("makes up orders where there is no file", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using observer = observe(parcels, hub.url, "logger");
    await using vendor = run({ HUB_URL: hub.url, VENDOR_ORDERS: "none", VENDOR_INTERVAL_MS: "5" });
    await observer.hears(3);
    vendor.send("SIGTERM");
    expect(await vendor.ended).toBe(0);
    expect(observer.heard[0]?.data).toMatchObject({ customer: { name: expect.any(String) } });
  });

  it("says first, when it is started again, what it was killed with before a hub could take it", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await hub.stop();
    const env = { HUB_URL: hub.url, VENDOR_ORDERS: "none" };
    {
      await using killed = run({ ...env, VENDOR_INTERVAL_MS: "1" });
      const outbox = join(directory, "outbox");
      const waits = async () => {
        const files = await readdir(outbox).catch(() => []);
        const texts = await Promise.all(
          files.map((file) => readFile(join(outbox, file), "utf8").catch(() => "")),
        );
        return texts.some((text) => text.endsWith("\n"));
      };
      while (!(await waits())) await new Promise((resolve) => setImmediate(resolve));
      killed.send("SIGKILL");
    }
    await hub.start();
    await using _again = run({ ...env, VENDOR_INTERVAL_MS: "100000" });
    await using observer = observe(parcels, hub.url, "logger");
    await observer.hears(2); // the one that waited, and the new run's own first one
    expect(new Set(observer.keysOf("pickup")).size).toBe(2);
  });

  it("shows who each vendor is by tokens of its own making", async () => {
    const keyFile = join(directory, "key.json");
    await using hub = await startHub({ contracts: [parcels], keys: await developmentKey(keyFile) });
    const env = { HUB_URL: hub.url, VENDOR_ORDERS: "none", VENDOR_INTERVAL_MS: "5" };
    await using vendor = run({ ...env, ORRERY_DEV_KEY: keyFile });
    const tokens = await tokenSource({ ORRERY_DEV_KEY: keyFile }, parcels.name);
    const credentials = tokens.credentialsOf({ role: "logger", id: "l" });
    const logger = connect(parcels, { url: hub.url, ...credentials, from: "start" });
    const vendors = new Set<string>();
    await new Promise<void>((resolve) => {
      logger.on("pickup", ({ vendorId }) => {
        if (vendors.add(vendorId).size === 2) resolve();
      });
    });
    await logger.close();
    expect(vendor.lines.matching(/refused/)).toEqual([]);
  });

  it("is one vendor by its one token, and says which other one an order file asks for", async () => {
    const claims = { satellite: "vendor:acme", contract: parcels.name, lifetimeMs: 60_000 };
    const token = await signToken(await developmentKey(join(directory, "key.json")), claims);
    await using made = run({ SATELLITE_TOKEN: token, VENDOR_ORDERS: "none", HUB_URL: "http://127.0.0.1:9" });
    await made.lines.seen(/^Making up an order/);
    await using replayed = run({ SATELLITE_TOKEN: token });
    expect(await replayed.ended).toBe(78);
    expect(replayed.lines.all.join()).toMatch(/is vendor:acme's, and vendor:\w+ needs one/);
  });

  it("ends with code 78 and says which file when the one it was given is not there", async () => {
    await using vendor = run({ VENDOR_ORDERS: "/no/such/file.csv" });
    expect(await vendor.ended).toBe(78);
    expect(vendor.lines.all.join()).toContain("/no/such/file.csv cannot be read");
  });

  it("ends with code 78 when its outbox is no directory", async () => {
    const outbox = join(directory, "outbox");
    await writeFile(outbox, "");
    await using vendor = run({ VENDOR_OUTBOX: outbox, HUB_URL: "http://127.0.0.1:9" });
    expect(await vendor.ended).toBe(78);
    expect(vendor.lines.matching(/^vendor: /)).toEqual([
      `vendor: CONFIG_INVALID: The configuration is not usable. The outbox cannot be opened: ENOTDIR: not a directory, scandir '${outbox}'.`,
    ]);
    expect(vendor.lines.matching(/^ +at /)).toEqual([]);
  });
});
