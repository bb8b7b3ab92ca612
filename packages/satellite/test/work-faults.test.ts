import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { connect } from "../src/index.ts";
import { observe } from "../src/testing.ts";
import { FlakyProxy, randomOf } from "./flaky-proxy.ts";
import { until } from "./waiting.ts";

const pickups = 1_000;
const faultsPerRun = 12;

const parcel = (parcelId: string) => ({
  parcelId,
  vendorId: "acme",
  customer: { city: "Recife", state: "PE" },
});

describe("work through a network that cuts, doubles, freezes, half-closes and delays connections", () => {
  it.each([1, 2, 3])(
    "is done by somebody, and what comes of it happens once, whatever is tried again: seed %d",
    async (seed) => {
      const limits = { pingIntervalMs: 300, pingTimeoutMs: 300, graceMs: 500 };
      await using hub = await startHub({ contracts: [parcels], limits });
      await using proxy = await FlakyProxy.before(hub.url);
      await using observer = observe(parcels, hub.url, "logger", ["in-transit", "delivered"]);
      const vendor = connect(parcels, { url: hub.url, role: "vendor", id: "acme" });
      const codes = new Set<unknown>();
      const onError = (error: unknown) => void codes.add((error as { code?: string }).code ?? error);
      const onDone = proxy.disturber(pickups, faultsPerRun, randomOf(seed));
      // Two of one name: the events of an attempt are the same, whoever makes it.
      const drivers = [1, 2].map(() => {
        const driver = connect(parcels, { url: proxy.url, role: "driver", id: "d1", onError });
        const options = { group: "drivers", capacity: 8, backoffMs: 1, attempts: 1_000, leaseMs: 1_000 };
        driver.work("pickup", { ...options, from: "start" }, async (data, context) => {
          const time = "2026-01-01T08:00:00.000Z";
          await context.emit("in-transit", { ...data, driverId: "d1", collectedAt: time });
          await context.done(["delivered", { ...data, driverId: "d1", deliveredAt: time }]);
          onDone();
        });
        return driver;
      });
      await Promise.all(
        Array.from({ length: pickups }, (_, place) => vendor.emit("pickup", parcel(`p-${place % 97}`))),
      );

      await observer.hears(pickups * 2);
      const asking = connect(parcels, { url: hub.url, role: "driver", id: "asking" });
      await until(async () => {
        const [group] = await asking.groups();
        return group?.lag === 0 && group.waiting + group.held === 0;
      });
      const [group] = await asking.groups();
      expect(group?.dead).toBe(0);
      for (const event of ["in-transit", "delivered"] as const) {
        const causes = observer.heard
          .filter((one) => one.event === event)
          .map(({ meta }) => meta.causationId);
        expect([causes.length, new Set(causes).size]).toEqual([pickups, pickups]);
      }
      expect([...codes].filter((code) => code !== "LEASE_LOST")).toEqual([]);
      expect(proxy.connections).toBeGreaterThan(2 + faultsPerRun / 4);
      await Promise.all([...drivers, vendor, asking].map((one) => one.close({ drainMs: 0 })));
    },
    60_000,
  );
});
