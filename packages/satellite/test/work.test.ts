import type { HistoryEntry } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { startHub, type TestHub } from "@orrery/hub-core/testing";
import {
  connect,
  DeadError,
  type Satellite,
  type SatelliteOptions,
  type WorkContext,
  type WorkOptions,
} from "../src/index.ts";
import { observe } from "../src/testing.ts";
import { gate, turn, until } from "./waiting.ts";

type Handle = (key: string, context: WorkContext<Parcels>) => unknown;

const start = (limits: object = {}) => startHub({ contracts: [parcels], limits });

function satellite(hub: TestHub, role: string, id: string, options: Partial<SatelliteOptions> = {}) {
  const made = connect(parcels, {
    url: hub.url,
    role: role as never,
    id,
    onError: () => undefined,
    ...options,
  });
  return Object.assign(made, { [Symbol.asyncDispose]: () => made.close({ drainMs: 0 }) });
}

const parcel = (parcelId: string) => ({
  parcelId,
  vendorId: "acme",
  customer: { city: "Recife", state: "PE" },
});
const collected = (parcelId: string, driverId = "d1") => ({
  ...parcel(parcelId),
  driverId,
  collectedAt: "2026-01-01T08:00:00.000Z",
});
const delivered = (parcelId: string, driverId = "d1") => ({
  ...parcel(parcelId),
  driverId,
  deliveredAt: "2026-01-01T09:00:00.000Z",
});

const say = (vendor: Satellite<Parcels>, keys: readonly string[]) =>
  Promise.all(keys.map((key) => vendor.emit("pickup", parcel(key))));
const numbered = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, place) => `${prefix}-${place}`);
/** Works pickups in the group `drivers`; `done`: keys whose handler has returned. */
function work(of: Satellite<Parcels>, handle: Handle, options: Partial<WorkOptions> = {}) {
  const done: string[] = [];
  const all = { group: "drivers", capacity: 4, backoffMs: 1, ...options };
  const working = of.work("pickup", all, async ({ parcelId }, context) => {
    await handle(parcelId, context);
    done.push(parcelId);
  });
  return { done, working };
}

async function groupOf(of: Satellite<Parcels>) {
  const [group] = await of.groups();
  if (group === undefined) throw new Error("there is no group");
  return group;
}
const isSettled = async (of: Satellite<Parcels>) => {
  const { lag, waiting, held } = await groupOf(of);
  return lag + waiting + held === 0;
};

describe("a group", () => {
  it("gives each event to one member, and of a key one after the other in the order of the log", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    const handled: [string, string, number][] = [];
    const busy = new Set<string>();
    const members = ["d1", "d2", "d3"].map((id) => {
      const member = satellite(hub, "driver", id);
      const { working } = work(member, async (key, { meta }) => {
        expect(busy.has(key)).toBe(false);
        busy.add(key);
        handled.push([id, key, meta.offset]);
        await turn();
        busy.delete(key);
      });
      return { member, working };
    });
    await Promise.all(members.map(({ working }) => working.ready()));
    for (let round = 0; round < 6; round += 1) await say(vendor, numbered("p", 20));
    const [first] = members;
    await until(() => handled.length === 120);
    await until(() => isSettled(first?.member as Satellite<Parcels>));
    expect(new Set(handled.map(([, , offset]) => offset)).size).toBe(120);
    expect(new Set(handled.map(([id]) => id))).toEqual(new Set(["d1", "d2", "d3"]));
    for (const key of numbered("p", 20)) {
      const offsets = handled.filter((one) => one[1] === key).map(([, , offset]) => offset);
      expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    }
    for (const { member } of members) await member.close();
  });

  it("begins where its first member says, goes on from there, and is told by its status", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await say(vendor, ["a", "b"]);
    await using driver = satellite(hub, "driver", "d1");
    const first = work(driver, () => undefined, { from: "start", capacity: 1 });
    await until(() => first.done.length === 2);
    await first.working.stop();
    await say(vendor, ["c"]);
    const second = work(driver, () => undefined, { capacity: 2 });
    await until(() => second.done.length === 1);
    await until(() => isSettled(driver));
    expect([first.done, second.done]).toEqual([["a", "b"], ["c"]]);
    const { group, events, dead, members } = await groupOf(driver);
    expect([group, events, dead]).toEqual(["drivers", ["pickup"], 0]);
    expect(members).toEqual([{ satellite: "driver:d1", capacity: 2, held: 0 }]);
    await second.working.stop();
    const other = work(driver, () => undefined, { rooms: ["vendor:acme"], onEnd: () => undefined });
    await expect(other.working.ready()).rejects.toMatchObject({ code: "GROUP_DIFFERS" });
  });

  it("hands over no more than a member has room for", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using driver = satellite(hub, "driver", "d1");
    const { open, isOpen } = gate();
    let begun = 0;
    const handle = () => {
      begun += 1;
      return isOpen;
    };
    const { done, working } = work(driver, handle, { capacity: 2 });
    await working.ready();
    await say(vendor, numbered("p", 10));
    await until(() => begun === 2);
    expect((await groupOf(driver)).held).toBe(2);
    working.capacity = 5;
    await until(() => begun === 5);
    expect((await groupOf(driver)).held).toBe(5);
    expect(begun).toBe(5);
    open();
    await until(() => done.length === 10);
  });
});

describe("what a handler says", () => {
  it("is said once, however often it is worked on, and belongs to the event that it came of", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using observer = observe(parcels, hub.url, "logger", ["in-transit", "delivered"]);
    await using driver = satellite(hub, "driver", "d1");
    const duplicates: unknown[] = [];
    const { done } = work(driver, async (key, context) => {
      const { duplicate } = await context.emit("in-transit", collected(key));
      duplicates.push(duplicate);
      if (context.meta.attempt === 1) throw new Error("a flat tyre");
      await context.done(["delivered", delivered(key)]);
    });
    await driver.ready();
    const [receipt] = await say(vendor, ["p-1"]);
    await observer.hears(2);
    await until(() => done.length === 1);
    expect(duplicates).toEqual([undefined, true]);
    const { id, offset } = receipt as { readonly id: string; readonly offset: number };
    expect(observer.heard.map(({ event, meta }) => [event, meta.id, meta.causationId])).toEqual([
      ["in-transit", `drivers:${offset}:in-transit`, id],
      ["delivered", `drivers:${offset}:delivered`, id],
    ]);
  });

  it("is refused with the event where the contract does not allow it, and nothing of that settle happens", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using observer = observe(parcels, hub.url, "logger", ["in-transit", "delivered"]);
    await using driver = satellite(hub, "driver", "d1");
    const codes: string[] = [];
    const { working } = work(driver, async (key, { done, dead }) => {
      await done(["in-transit", collected(key)], ["delivered", delivered(key, "another")]).catch((error) =>
        codes.push(error.code),
      );
      await dead("not mine");
    });
    await working.ready();
    await say(vendor, ["p-1"]);
    await until(async () => (await groupOf(driver)).dead === 1);
    await driver.emit("delivered", delivered("marker"));
    await observer.hears(1);
    expect([codes, observer.keysOf("in-transit"), observer.keysOf("delivered")]).toEqual([
      ["FORBIDDEN"],
      [],
      ["marker"],
    ]);
  });
});

describe("an attempt that fails", () => {
  it("is followed by another one, and after the last the event is dead: listed, marked in its key, redriven once", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using driver = satellite(hub, "driver", "d1");
    const calls: [string, number, number, readonly number[]][] = [];
    let isBroken = true;
    const handle: Handle = (key, { meta, deadBefore }) => {
      calls.push([key, meta.offset, meta.attempt, deadBefore]);
      if (isBroken && meta.offset === 1) throw new Error("no fuel");
    };
    const { working } = work(driver, handle, { attempts: 3 });
    await working.ready();
    await say(vendor, ["p-1"]);
    await say(vendor, ["p-1"]);
    await until(() => isSettled(driver));
    expect(calls).toEqual([
      ["p-1", 1, 1, []],
      ["p-1", 1, 2, []],
      ["p-1", 1, 3, []],
      ["p-1", 2, 1, [1]],
    ]);
    const [dead, ...others] = await driver.dead("drivers");
    expect(others).toEqual([]);
    expect(dead).toMatchObject({
      offset: 1,
      reason: "attempts",
      attempts: 3,
      error: "no fuel",
      by: "driver:d1",
    });
    expect(dead?.event?.[1]).toEqual(parcel("p-1"));
    isBroken = false;
    await driver.redriveDead("drivers", 1);
    await expect(driver.redriveDead("drivers", 1)).rejects.toMatchObject({ code: "NOT_DEAD" });
    await until(() => calls.length === 5);
    expect(calls.at(-1)).toEqual(["p-1", 1, 1, []]);
    await until(() => isSettled(driver));
    expect(await driver.dead("drivers")).toEqual([]);
  });

  it("with a DeadError is the last one, and such an event can be dropped", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using driver = satellite(hub, "driver", "d1");
    const { working } = work(driver, () => {
      throw new DeadError("no such street");
    });
    await working.ready();
    await say(vendor, ["p-1"]);
    await until(async () => (await groupOf(driver)).dead === 1);
    const [dead] = await driver.dead("drivers");
    expect(dead).toMatchObject({ reason: "refused", attempts: 1, error: "no such street" });
    await driver.drop("drivers", 1);
    expect(await driver.dead("drivers")).toEqual([]);
    await expect(driver.drop("drivers", 1)).rejects.toMatchObject({ code: "NOT_DEAD" });
    await expect(driver.dead("nobody")).rejects.toMatchObject({ code: "GROUP_UNKNOWN" });
  });

  it("given back goes to another member, and is not counted", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using first = satellite(hub, "driver", "d1");
    await using second = satellite(hub, "driver", "d2");
    const attempts: number[] = [];
    const one = work(first, (_key, { back }) => back());
    const two = work(second, (_key, { meta }) => void attempts.push(meta.attempt));
    await Promise.all([one.working.ready(), two.working.ready()]);
    await say(vendor, numbered("p", 10));
    await until(() => two.done.length === 10);
    expect(new Set(attempts)).toEqual(new Set([1]));
  });

  it("is told, with all others and what was said, by the history of its key", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using driver = satellite(hub, "driver", "d1");
    const { working } = work(driver, async (key, { meta, done }) => {
      if (meta.attempt === 1) throw new Error("no fuel");
      await done(["delivered", delivered(key)]);
    });
    await working.ready();
    await say(vendor, ["p-1"]);
    await until(() => isSettled(driver));
    const told = (entries: readonly HistoryEntry[]) =>
      entries.map((entry) => (entry.kind === "attempt" ? `${entry.attempt} ${entry.outcome}` : entry.kind));
    await until(async () => (await driver.history("p-1")).length === 4);
    const history = told(await driver.history("p-1"));
    expect(history).toEqual(["event", "1 retry", "event", "2 done"]);
  });
});

describe("a claim", () => {
  it("survives a restart of the hub: the handler goes on, and nobody else gets the event", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using observer = observe(parcels, hub.url, "logger", ["in-transit", "delivered"]);
    const attempts: (number | undefined)[] = [];
    const { open, isOpen } = gate();
    await using first = satellite(hub, "driver", "d1");
    await using second = satellite(hub, "driver", "d1");
    const handle: Handle = async (key, { meta, emit, done }) => {
      attempts.push(meta.attempt);
      await isOpen;
      await emit("in-transit", collected(key));
      await done(["delivered", delivered(key)]);
    };
    const one = work(first, handle, { capacity: 1 });
    await one.working.ready();
    await say(vendor, ["p-1"]);
    await until(() => attempts.length === 1);
    await hub.stop();
    open(); // what it says now waits for the hub
    await hub.start();
    const two = work(second, handle, { capacity: 1 });
    await two.working.ready();
    await until(() => one.done.length === 1);
    await say(vendor, ["p-2"]);
    await until(() => one.done.length + two.done.length === 2);
    await observer.hears(4);
    expect(attempts).toEqual([1, 1]);
    expect(new Set(observer.keysOf("delivered"))).toEqual(new Set(["p-1", "p-2"]));
  });

  it("of a member that is closed goes to another one, as a further attempt", async () => {
    await using hub = await start({ graceMs: 50 });
    await using vendor = satellite(hub, "vendor", "acme");
    await using second = satellite(hub, "driver", "d2");
    const codes: string[] = [];
    {
      await using first = satellite(hub, "driver", "d1");
      const { open, isOpen } = gate();
      const { working } = work(first, (_key, { signal }) => {
        open();
        return new Promise<void>((resolve) => {
          signal.addEventListener("abort", () => {
            codes.push(signal.reason.code);
            resolve();
          });
        });
      });
      await working.ready();
      await say(vendor, ["p-1"]);
      await isOpen;
    }
    const attempts: number[] = [];
    const { done } = work(second, (_key, { meta }) => void attempts.push(meta.attempt));
    await until(() => done.length === 1);
    expect([codes, attempts]).toEqual([["LEASE_LOST"], [2]]);
  });

  it("that is not renewed goes to another one; who had it is refused", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using observer = observe(parcels, hub.url, "logger", ["delivered"]);
    await using slow = satellite(hub, "driver", "d1");
    await using quick = satellite(hub, "driver", "d2");
    const codes: string[] = [];
    const blocked = work(
      slow,
      async (key, { emit }) => {
        for (const untilMs = performance.now() + 150; performance.now() < untilMs; );
        await emit("delivered", delivered(key)).catch((error) => codes.push(error.code));
      },
      { leaseMs: 100, capacity: 1 },
    );
    await blocked.working.ready();
    await say(vendor, ["p-1"]);
    await until(() => codes.length > 0);
    await blocked.working.stop();
    const { done } = work(quick, (key, context) => context.done(["delivered", delivered(key, "d2")]));
    await until(() => done.length === 1);
    await observer.hears(1);
    expect(codes[0]).toBe("LEASE_LOST");
    expect(observer.heard.map(({ data }) => data.driverId)).toEqual(["d2"]);
  });

  it("that was lost by a member whose event loop was blocked does not keep it from further ones", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using driver = satellite(hub, "driver", "d1");
    let isBlocked = true;
    const { done, working } = work(
      driver,
      () => {
        for (const untilMs = performance.now() + (isBlocked ? 250 : 0); performance.now() < untilMs; );
        isBlocked = false;
      },
      { leaseMs: 100, capacity: 1, backoffMs: 0 },
    );
    await working.ready(); // a group begins with what comes then
    await say(vendor, ["p-1", "p-2"]);
    await until(() => done.includes("p-2"));
    expect(done).toEqual(["p-1", "p-1", "p-2"]);
  });

  it("is worked on for longer than its lease while it is renewed", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using driver = satellite(hub, "driver", "d1");
    const attempts: number[] = [];
    const handle: Handle = async (_key, { meta }) => {
      attempts.push(meta.attempt);
      await new Promise((resolve) => setTimeout(resolve, 1_500));
    };
    const { done, working } = work(driver, handle, { leaseMs: 500 });
    await working.ready();
    await say(vendor, ["p-1"]);
    await until(() => done.length === 1);
    await until(() => isSettled(driver));
    expect(attempts).toEqual([1]);
  });
});
