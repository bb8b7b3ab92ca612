import type { Meta } from "@orrery/contracts";
import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { connect, type FollowOptions, type Satellite, type SatelliteOptions } from "../src/index.ts";
import { FlakyProxy } from "./flaky-proxy.ts";
import { gate, until } from "./waiting.ts";

type Parcels = typeof parcels;
const start = (options: object = {}) => startHub({ contracts: [parcels], ...options });

function satellite(url: string, role: string, id: string, options: Partial<SatelliteOptions> = {}) {
  const made = connect(parcels, { url, role: role as never, id, ...options });
  return Object.assign(made, { [Symbol.asyncDispose]: () => made.close({ drainMs: 0 }) });
}

const say = (vendor: Satellite<Parcels>, ids: readonly string[]) =>
  Promise.all(
    ids.map((id) =>
      vendor.emit("pickup", { parcelId: id, vendorId: "acme", customer: { city: "Recife", state: "PE" } }),
    ),
  );
const numbered = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, place) => `${prefix}-${place}`);
/** A follower that remembers what it handled; `handle` may do more, or throw. */
function follow(
  of: Satellite<Parcels>,
  options: FollowOptions,
  handle: (key: string, meta: Meta) => unknown = () => undefined,
) {
  const keys: string[] = [];
  const following = of.follow("pickup", options, async ({ parcelId }, meta) => {
    await handle(parcelId, meta);
    keys.push(parcelId);
  });
  return { keys, following };
}

describe("a follower", () => {
  it("gets everything from where it began, in order, then what is said live", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    await say(vendor, numbered("a", 1_200));
    await using logger = satellite(hub.url, "logger", "l");
    const { keys } = follow(logger, { as: "all", from: "start", concurrency: 1 });
    await until(() => keys.length === 1_200);
    await say(vendor, numbered("b", 300));
    await until(() => keys.length === 1_500);
    expect(keys).toEqual([...numbered("a", 1_200), ...numbered("b", 300)]);
  });

  it("begins from now on, or at a time, when it says so", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    await say(vendor, ["before"]);
    await until(() => Date.now() > 0);
    const time = new Date(Date.now() + 1);
    await until(() => Date.now() > time.getTime());
    await say(vendor, ["after"]);
    await using logger = satellite(hub.url, "logger", "l");
    const now = follow(logger, { as: "now" });
    const timed = follow(logger, { as: "timed", from: { time: time.toISOString() } });
    await Promise.all([now.following.ready(), timed.following.ready()]);
    await say(vendor, ["end"]);
    await until(() => now.keys.length === 1 && timed.keys.length === 2);
    expect([now.keys, timed.keys]).toEqual([["end"], ["after", "end"]]);
  });

  it("goes on after what it handled, in another process days later, over a restart of the hub", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    {
      await using first = satellite(hub.url, "logger", "l");
      const { keys } = follow(first, { as: "billing", from: "start" });
      await say(vendor, numbered("a", 50));
      await until(async () => keys.length === 50 && (await first.followers())[0]?.lag === 0);
    }
    await say(vendor, numbered("b", 50));
    await hub.stop();
    await hub.start();
    await using second = satellite(hub.url, "logger", "l");
    const { keys } = follow(second, { as: "billing", from: "start", concurrency: 1 });
    await until(() => keys.length === 50);
    await say(vendor, ["end"]);
    await until(() => keys.length === 51);
    expect(keys).toEqual([...numbered("b", 50), "end"]);
  });

  it("gets again what it had not finished when its connection was lost, and handles nothing twice that it had", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    await using logger = satellite(hub.url, "logger", "l");
    const { open, isOpen } = gate();
    const { keys, following } = follow(logger, { as: "all", from: "start" }, (key) =>
      key === "slow" ? isOpen : undefined,
    );
    await following.ready();
    await say(vendor, ["a", "slow", "b"]);
    await until(() => keys.length === 2);
    await hub.stop();
    await hub.start();
    await say(vendor, ["c"]);
    await until(() => keys.includes("c"));
    open();
    await until(async () => keys.length === 4 && (await logger.followers())[0]?.lag === 0);
    expect(keys).toEqual(["a", "b", "c", "slow"]);
  });

  it("that answers for an earlier connection does not move its cursor over what it is still handling", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    await say(vendor, ["p-1"]);
    // Takes the number of the hub's first delivery, so that the next one has the number of a later one after the restart.
    await using other = satellite(hub.url, "logger", "other");
    const { keys } = follow(other, { as: "all", from: "start" });
    await until(() => keys.length === 1);
    await other.close();
    await using logger = satellite(hub.url, "logger", "l");
    const held = new Map<string, () => void>();
    const hold = (key: string) => new Promise<void>((resolve) => held.set(key, resolve));
    follow(logger, { as: "all", from: "start" }, hold);
    await until(() => held.has("p-1"));
    await hub.stop();
    await hub.start();
    await Promise.all([logger.ready(), vendor.ready()]);
    await say(vendor, ["p-2"]);
    await until(() => held.has("p-2"));
    held.get("p-1")?.();
    const lag = async () => (await logger.followers())[0]?.lag;
    await until(async () => (await lag()) !== 2);
    expect(await lag()).toBe(1);
    held.get("p-2")?.();
    await until(async () => (await lag()) === 0);
  });

  it("moves its cursor only when handlers are done, and also over what it does not want", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    await using logger = satellite(hub.url, "logger", "l");
    const { open, isOpen } = gate();
    await logger.follow("delivered", { as: "others" }, () => undefined).ready();
    const { following } = follow(logger, { as: "mine" }, () => isOpen);
    await following.ready();
    await say(vendor, numbered("a", 10));
    const lagOf = async (as: string) => (await logger.followers()).find((one) => one.as === as)?.lag;
    await until(async () => (await lagOf("others")) === 0);
    expect(await lagOf("mine")).toBe(10);
    open();
    await until(async () => (await lagOf("mine")) === 0);
  });

  it("is taken over by a newer connection under its name, and told so", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    await using older = satellite(hub.url, "logger", "l");
    const ends: unknown[] = [];
    const first = follow(older, { as: "one", onEnd: (reason) => void ends.push(reason.code) });
    await first.following.ready();
    await using newer = satellite(hub.url, "logger", "l");
    const second = follow(newer, { as: "one" });
    await second.following.ready();
    await say(vendor, ["a"]);
    await until(() => second.keys.length === 1 && ends.length === 1);
    expect([first.keys, second.keys, ends]).toEqual([[], ["a"], ["FOLLOWER_TAKEN_OVER"]]);
    // Another satellite's follower of the same name is another follower.
    await using other = satellite(hub.url, "logger", "other");
    await follow(other, { as: "one" }).following.ready();
    await say(vendor, ["b"]);
    await until(() => second.keys.length === 2);
    expect(ends).toHaveLength(1);
  });

  it("can be stopped, listed and forgotten", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    await using logger = satellite(hub.url, "logger", "l");
    const { following } = follow(logger, { as: "one" });
    await following.ready();
    await following.stop();
    await say(vendor, ["a"]);
    const status = { as: "one", cursor: `${hub.log.epoch}:0`, lag: 1, isConnected: false, parked: 0 };
    expect(await logger.followers()).toEqual([status]);
    await logger.forget("one");
    expect(await logger.followers()).toEqual([]);
    await expect(logger.forget("one")).rejects.toMatchObject({ code: "FOLLOWER_UNKNOWN" });
    expect((await hub.log.records("follower/")).size).toBe(0);
  });

  it("is asked after again where the connection is lost before the answer", async () => {
    await using hub = await start();
    await using proxy = await FlakyProxy.before(hub.url);
    await using logger = satellite(proxy.url, "logger", "l");
    await logger.ready();
    proxy.cutBefore('"followers":[');
    expect(await logger.followers()).toEqual([]);
  });

  it("stops when handlers that run are done, and hands out nothing more", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    await using logger = satellite(hub.url, "logger", "l");
    const { open, isOpen } = gate();
    let begun = 0;
    const { keys, following } = follow(logger, { as: "one", concurrency: 2 }, () => {
      begun += 1;
      return isOpen;
    });
    await following.ready();
    await say(vendor, numbered("a", 10));
    await until(() => begun === 2);
    const stopped = following.stop();
    open();
    await stopped;
    expect([begun, keys.length]).toEqual([2, 2]);
  });
});

it("a follower stops at once while its hub goes away", async () => {
  await using hub = await start();
  await using logger = satellite(hub.url, "logger", "l");
  const { following } = follow(logger, { as: "one" });
  await following.ready();
  await Promise.all([hub.stop(), following.stop()]);
  await logger.close();
  expect(logger.status).toBe("closed");
});

describe("a handler that throws", () => {
  const failing = (fails: (key: string, attempt: number) => boolean) => {
    const calls: string[] = [];
    const handle = (key: string, { attempt = 0 }: Meta) => {
      calls.push(`${key}/${attempt}`);
      if (fails(key, attempt)) throw new Error(`no ${key}`);
    };
    return { calls, handle };
  };

  it("is called again for the event, and nothing else waits for it", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    const errors: [string, number | undefined][] = [];
    await using logger = satellite(hub.url, "logger", "l", {
      onError: (error, meta) => void errors.push([(error as Error).message, meta?.attempt]),
    });
    const { calls, handle } = failing((key, attempt) => key === "bad" && attempt < 3);
    const { keys, following } = follow(logger, { as: "one", backoffMs: 1 }, handle);
    await following.ready();
    await say(vendor, ["bad", "good"]);
    await until(() => keys.length === 2);
    expect(keys).toEqual(["good", "bad"]);
    expect(calls.filter((call) => call.startsWith("bad"))).toEqual(["bad/1", "bad/2", "bad/3"]);
    expect(errors).toEqual([
      ["no bad", 1],
      ["no bad", 2],
    ]);
  });

  it("parks the event in the end, on disk, where it can be seen and redriven, and its key goes on", async () => {
    await using hub = await start();
    await using vendor = satellite(hub.url, "vendor", "acme");
    await using logger = satellite(hub.url, "logger", "l", { onError: () => undefined });
    let isBroken = true;
    const { handle } = failing((key) => isBroken && key === "bad");
    const options = { as: "one", attempts: 2, backoffMs: 1 };
    const { keys, following } = follow(logger, options, handle);
    await following.ready();
    await say(vendor, ["bad", "good"]);
    await vendor.emit("pickup", {
      parcelId: "bad",
      vendorId: "acme",
      customer: { city: "Natal", state: "RN" },
    });
    await until(async () => (await logger.followers())[0]?.parked === 2);
    await hub.stop();
    await hub.start();
    await following.ready();
    const parked = await logger.parked("one");
    expect(
      parked.map(({ offset, attempts, error, event }) => [offset, attempts, error, event?.[2].subject]),
    ).toEqual([
      [1, 2, "no bad", "bad"],
      [3, 2, "no bad", "bad"],
    ]);
    isBroken = false;
    await logger.redrive("one", 1);
    await until(async () => (await logger.parked("one")).length === 1);
    expect(keys).toEqual(["good", "bad"]);
    await expect(logger.redrive("one", 2)).rejects.toMatchObject({ code: "NOT_PARKED" });
    await following.stop();
    await expect(logger.redrive("one", 3)).rejects.toMatchObject({ code: "FOLLOWER_AWAY" });
    expect((await logger.followers())[0]?.lag).toBe(0);
  });
});

describe("a follow is refused when", () => {
  it.each<[string, FollowOptions, string]>([
    ["its name is no name", { as: "a/b" }, "MESSAGE_INVALID"],
    ["its cursor is beyond the log", { as: "a", from: "x:99" }, ""],
    ["its time is none", { as: "a", from: { time: "yesterday" } }, "MESSAGE_INVALID"],
    ["its room is none", { as: "a", rooms: ["nowhere"] }, "ROOM_INVALID"],
  ])("%s", async (_when, options, code) => {
    await using hub = await start();
    const from = options.from === "x:99" ? (`${hub.log.epoch}:99` as const) : options.from;
    await using logger = satellite(hub.url, "logger", "l");
    const following = logger.follow(
      "pickup",
      { ...options, ...(from !== undefined && { from }), onEnd: () => undefined },
      () => undefined,
    );
    await expect(following.ready()).rejects.toMatchObject({ code: code || "CURSOR_INVALID" });
  });

  it("the role may not hear the event, or the satellite has too many names", async () => {
    await using hub = await start({ limits: { followers: 1 } });
    await using vendor = satellite(hub.url, "vendor", "acme");
    const onEnd = () => undefined;
    const position = vendor.follow("position", { as: "a", onEnd }, () => undefined);
    await expect(position.ready()).rejects.toMatchObject({ code: "FORBIDDEN" });
    await vendor.follow("pickup", { as: "a", onEnd }, () => undefined).ready();
    const second = vendor.follow("pickup", { as: "b", onEnd }, () => undefined);
    await expect(second.ready()).rejects.toMatchObject({ code: "FOLLOWERS_TOO_MANY" });
  });
});
