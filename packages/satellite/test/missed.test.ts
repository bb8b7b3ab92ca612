import type { Gap, Meta } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { startHub, type TestHub } from "@orrery/hub-core/testing";
import { connect, type Satellite, type SatelliteOptions } from "../src/index.ts";
import { FlakyProxy } from "./flaky-proxy.ts";
import { until } from "./waiting.ts";

function satellite(url: string, role: string, id: string, options: Partial<SatelliteOptions> = {}) {
  const made = connect(parcels, { url, role: role as never, id, ...options });
  return Object.assign(made, { [Symbol.asyncDispose]: () => made.close({ drainMs: 0 }) });
}
const move = (driver: Satellite<Parcels>, driverId: string, latitude: number) =>
  driver.emit("position", { driverId, latitude, longitude: 0 });
const say = (vendor: Satellite<Parcels>, count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, n) =>
      vendor.emit("pickup", {
        parcelId: `p-${n}`,
        vendorId: "acme",
        customer: { name: "x".repeat(200), city: "Recife", state: "PE" },
      }),
    ),
  );

/** Resolves when the retention has nothing more to do. */
async function untilTaken({ log }: TestHub): Promise<void> {
  let before = 0;
  for (let same = 0; same < 100; ) {
    const { takenThrough } = await log.read({ after: log.head - 1 });
    same = takenThrough > 0 && takenThrough === before ? same + 1 : 0;
    before = takenThrough;
  }
}

/**
 * Lets the satellite back, which had heard offset 1, when the retention is done; `lost`: at first its connection is cut before
 * that message. Resolves when it has heard the newest event, with the gap that the hub has to tell of, and what is left.
 */
async function comeBack(hub: TestHub, proxy: FlakyProxy, heard: readonly number[], lost?: string) {
  await untilTaken(hub);
  if (lost !== undefined) proxy.cutBefore(lost);
  proxy.open();
  const { head, epoch } = hub.log;
  await until(() => heard.at(-1) === head);
  const { takenThrough } = await hub.log.read({ after: head - 1 });
  const gap = { reason: "retention", after: `${epoch}:1`, until: `${epoch}:${takenThrough}` };
  const left = Array.from({ length: head - takenThrough }, (_, place) => takenThrough + 1 + place);
  return { gap, left };
}

describe("the last values reach a new listener", () => {
  it.each(["hub:latest", '"ok":true,"cursor"'])(
    "although its connection is lost before they have come (%s)",
    async (lost) => {
      await using hub = await startHub({ contracts: [parcels] });
      await using proxy = await FlakyProxy.before(hub.url);
      await using driver = satellite(hub.url, "driver", "d1");
      await move(driver, "d1", 1);
      await using board = satellite(proxy.url, "board", "b");
      await board.ready();
      const latitudes: number[] = [];
      proxy.cutBefore(lost);
      board.on("position", ({ latitude }) => void latitudes.push(latitude));
      await until(() => latitudes.length === 1);
      await move(driver, "d1", 2);
      await until(() => latitudes.length === 2);
      expect(latitudes).toEqual([1, 2]);
    },
  );

  it("once, however often it comes back", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using proxy = await FlakyProxy.before(hub.url);
    await using driver = satellite(hub.url, "driver", "d1");
    await move(driver, "d1", 1);
    const latitudes: number[] = [];
    await using board = satellite(proxy.url, "board", "b");
    board.on("position", ({ latitude }) => void latitudes.push(latitude));
    await until(() => latitudes.length === 1);
    await move(driver, "d1", 2);
    await until(() => latitudes.length === 2);
    for (let turns = 1; turns <= 3; turns += 1) {
      proxy.disturb("cut", () => 0);
      await until(() => board.status === "offline");
      await board.ready();
    }
    await move(driver, "d1", 3);
    await until(() => latitudes.at(-1) === 3);
    expect(latitudes).toEqual([1, 2, 3]);
  });
});

describe("a listener whom the retention has overtaken while it was away", () => {
  it.each([
    ["at once", undefined],
    ["although the connection is lost just then", "hub:gap"],
  ])(
    "is told what is missing, %s, and hears the last values from there and all that is left",
    async (_when, lost) => {
      await using hub = await startHub({ contracts: [parcels], log: { retention: { bytes: 300_000 } } });
      await using proxy = await FlakyProxy.before(hub.url);
      await using vendor = satellite(hub.url, "vendor", "acme");
      await using driver = satellite(hub.url, "driver", "d1");
      const gaps: Gap[] = [];
      await using board = satellite(proxy.url, "board", "b", { onGap: (gap) => void gaps.push(gap) });
      const heard: number[] = [];
      board.on("pickup", (_data, { offset = 0 }) => void heard.push(offset));
      board.on("position", (_data, { offset = 0 }) => void heard.push(offset));
      await board.ready();
      await say(vendor, 1);
      await until(() => heard.length === 1);

      proxy.close();
      await say(vendor, 10);
      const { offset: moved } = await move(driver, "d1", 1);
      await say(vendor, 4_000);
      const { gap, left } = await comeBack(hub, proxy, heard, lost);
      expect(gaps).toEqual([gap]);
      expect(heard).toEqual([1, moved, ...left]);
    },
  );
});

describe("a follower whom the retention has overtaken while it was away", () => {
  it.each([
    ["at once", undefined],
    ["although the connection is lost just then", "hub:gap"],
  ])("is told what is missing, %s, and gets all that is left", async (_when, lost) => {
    await using hub = await startHub({ contracts: [parcels], log: { retention: { bytes: 300_000 } } });
    await using proxy = await FlakyProxy.before(hub.url);
    await using vendor = satellite(hub.url, "vendor", "acme");
    const gaps: Gap[] = [];
    await using logger = satellite(proxy.url, "logger", "l", { onGap: (gap) => void gaps.push(gap) });
    const followed: number[] = [];
    const handle = (_data: unknown, { offset = 0 }: Meta) => void followed.push(offset);
    await logger.follow("pickup", { as: "all", concurrency: 1 }, handle).ready();
    await say(vendor, 1);
    await until(async () => (await logger.followers())[0]?.lag === 0);

    proxy.close();
    await say(vendor, 4_000);
    const { gap, left } = await comeBack(hub, proxy, followed, lost);
    expect(gaps).toEqual([{ ...gap, as: "all" }]);
    expect(followed).toEqual([1, ...left]);
  });
});
