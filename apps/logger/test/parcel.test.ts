import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { runMain } from "@orrery/process/testing";
import { connect, DeadError, type WorkHandlerOf } from "@orrery/satellite";
import { publish } from "./publisher.ts";

const main = new URL("../src/main.ts", import.meta.url);

type Handler = WorkHandlerOf<typeof parcels, "pickup">;

/** A driver whose handlers' errors are what the test is about. */
function work(url: string, driverId: string, attempts: number, handler: Handler) {
  const driver = connect(parcels, { url, role: "driver", id: driverId, onError: () => undefined });
  driver.work("pickup", { group: "drivers", capacity: 1, attempts, backoffMs: 0, from: "start" }, handler);
  return Object.assign(driver, { [Symbol.asyncDispose]: () => driver.close({ drainMs: 0 }) });
}

/** What the logger's process prints of a parcel, with times as `<time>`. */
async function told(url: string, parcelId: string): Promise<readonly string[]> {
  await using logger = runMain(main, { HUB_URL: url, LOGGER_PARCEL: parcelId });
  expect(await logger.ended).toBe(0);
  return logger.lines.all.map((line) => line.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}/g, "<time>"));
}

describe("what a parcel went through", () => {
  it("is printed: its events, who had it and how that ended, and who has it now; then the process ends", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using acme = publish(hub.url);
    let holds = () => {};
    const isHeld = new Promise<void>((resolve) => {
      holds = resolve;
    });
    await using _driver = work(hub.url, "d1", 5, async ({ parcelId, ...parcel }, { meta, signal, emit }) => {
      if (meta.attempt === 1) throw new Error("a flat tyre");
      await emit("in-transit", { ...parcel, parcelId, driverId: "d1", collectedAt: meta.time });
      holds();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    });
    await acme.pickups("p", 1);
    await isHeld;
    expect(await told(hub.url, "p-0")).toEqual([
      `What parcel p-0 went through, from the hub at ${hub.url}`,
      "<time> pickup      p-0 vendor:acme",
      "<time> driver:d1 in drivers, attempt 1: failed: a flat tyre",
      "<time> in-transit  p-0 vendor:acme driver:d1",
      "driver:d1 in drivers, attempt 2: working on it, until <time> if it is not renewed",
    ]);
  });

  it("tells why it is stuck: not settled after so many attempts, or dead for good, until somebody redrives it", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using acme = publish(hub.url);
    await using driver = work(hub.url, "d1", 2, ({ parcelId }) => {
      if (parcelId === "p-0") throw new Error("nobody at home");
      if (parcelId === "p-1") throw new DeadError("no such street");
    });
    await driver.ready();
    await acme.pickups("p", 3);
    const isSettled = async () => {
      const [group] = await driver.groups();
      return group?.lag === 0 && group.waiting + group.held === 0 && group.dead === 2;
    };
    while (!(await isSettled()));
    const dead = await driver.dead("drivers");
    expect((await told(hub.url, "p-0")).slice(1)).toEqual([
      "<time> pickup      p-0 vendor:acme",
      "<time> driver:d1 in drivers, attempt 1: failed: nobody at home",
      "<time> driver:d1 in drivers, attempt 2: failed: nobody at home",
      "not settled in drivers after 2 attempts, dead or the group forgotten: nobody at home",
    ]);
    expect((await told(hub.url, "p-1")).slice(2)).toEqual([
      "<time> driver:d1 in drivers, attempt 1: failed for good: no such street",
      "dead in drivers after 1 attempt: no such street",
    ]);
    expect((await told(hub.url, "p-2")).slice(2)).toEqual(["<time> driver:d1 in drivers, attempt 1: done"]);
    const offset = dead[0]?.offset ?? 0;
    await driver.drop("drivers", offset);
    expect((await told(hub.url, "p-0")).slice(4)).toEqual([
      "<time> driver:d1 in drivers, attempt 2: was dead, and was dropped",
    ]);
  });

  it("tells that a parcel waits for its next attempt, and that nobody knows one", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using acme = publish(hub.url);
    const driver = connect(parcels, { url: hub.url, role: "driver", id: "d1" });
    driver.work("pickup", { group: "drivers", capacity: 1, backoffMs: 60_000 }, (_parcel, { back }) =>
      back(),
    );
    await driver.ready();
    await acme.pickups("p", 1);
    for (let waiting = 0; waiting === 0; ) waiting = (await driver.groups())[0]?.waiting ?? 0;
    expect((await told(hub.url, "p-0")).slice(2)).toEqual([
      "<time> driver:d1 in drivers, attempt 1: given back",
      "waiting in drivers, until <time>",
    ]);
    expect((await told(hub.url, "unheard-of")).slice(1)).toEqual([
      "Nobody has worked on it so far, or there is no such parcel.",
    ]);
    await driver.close();
  });

  it("does not tell that a parcel is dead whose group was forgotten", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using acme = publish(hub.url);
    const driver = connect(parcels, { url: hub.url, role: "driver", id: "d1", onError: () => undefined });
    let failed = 0;
    const working = { group: "drivers", capacity: 1, backoffMs: 60_000 };
    driver.work("pickup", working, () => {
      failed += 1;
      throw new Error("a flat tyre");
    });
    await driver.ready();
    await acme.pickups("p", 1);
    for (let waiting = 0; failed === 0 || waiting === 0; ) waiting = (await driver.groups())[0]?.waiting ?? 0;
    await driver.forgetGroup("drivers");
    expect((await told(hub.url, "p-0")).slice(2)).toEqual([
      "<time> driver:d1 in drivers, attempt 1: failed: a flat tyre",
      "not settled in drivers after 1 attempt, dead or the group forgotten: a flat tyre",
    ]);
    await driver.close();
  });

  it("is not waited for when the process is told to end", async () => {
    await using logger = runMain(main, { HUB_URL: "http://127.0.0.1:9", LOGGER_PARCEL: "p-0" });
    await logger.lines.seen(/^What parcel p-0/);
    logger.send("SIGTERM");
    expect(await logger.ended).toBe(0);
  });
});
