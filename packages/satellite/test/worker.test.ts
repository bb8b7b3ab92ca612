import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Settle } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import {
  connect,
  DeadError,
  type SatelliteOptions,
  type WorkContext,
  type WorkOptions,
} from "../src/index.ts";
import { FakeHub, refused } from "./fake-hub.ts";
import { gate, turn, until } from "./waiting.ts";

type Context = WorkContext<Parcels>;

/** A driver in the group `drivers` of a hub that is the test's. `errors`: what `onError` heard, and of which offset. */
async function atWork(
  handle: (key: string, context: Context) => unknown,
  options: Partial<WorkOptions> = {},
  connectOptions: Partial<SatelliteOptions> = {},
) {
  const hub = await FakeHub.start();
  const errors: [string, number | undefined][] = [];
  const satellite = connect(parcels, {
    url: hub.url,
    role: "driver",
    id: "d1",
    onError: (error, meta) => void errors.push([codeOf(error), meta?.offset]),
    ...connectOptions,
  });
  const working = satellite.work("pickup", { group: "drivers", capacity: 4, ...options }, (data, context) =>
    handle(data.parcelId, context),
  );
  await working.ready();
  return {
    hub,
    satellite,
    working,
    errors,
    async [Symbol.asyncDispose]() {
      await satellite.close({ drainMs: 0 });
      await hub[Symbol.asyncDispose]();
    },
  };
}

/** The same, with handlers that run until `open`. `running`: their keys and signals, in the order in which they began. */
async function heldAtWork(options: Partial<WorkOptions> = {}) {
  const { open, isOpen } = gate();
  const running: { readonly key: string; readonly signal: AbortSignal }[] = [];
  const at = await atWork((key, { signal }) => {
    running.push({ key, signal });
    return isOpen;
  }, options);
  return Object.assign(at, { open, running });
}

const codeOf = (error: unknown) => {
  const { code, message } = error as { readonly code?: string; readonly message: string };
  return code ?? message;
};
/** The code that a promise rejects with. */
const codeFrom = (promise: Promise<unknown>) => promise.then(() => "", codeOf);

const aborted = (signal: AbortSignal) =>
  new Promise<string>((resolve) => {
    signal.addEventListener("abort", () => resolve(codeOf(signal.reason)));
    if (signal.aborted) resolve(codeOf(signal.reason));
  });

const trip = { parcelId: "p-1", vendorId: "acme", customer: { city: "Recife", state: "PE" }, driverId: "d1" };
const collected = { ...trip, collectedAt: "2026-01-01T08:00:00.000Z" };
const delivered = { ...trip, deliveredAt: "2026-01-01T09:00:00.000Z" };
const outcomes = (settles: readonly Settle[]) => settles.map(({ offset, outcome }) => [offset, outcome]);

describe("a worker", () => {
  it("asks for work, runs a handler for each claim, and settles it as done when that returns", async () => {
    const seen: unknown[] = [];
    const options = {
      leaseMs: 20_000,
      attempts: 3,
      backoffMs: 10,
      from: "start",
      rooms: ["vendor:acme"],
    } as const;
    await using at = await atWork(
      (key, { meta, deadBefore }) => void seen.push([key, meta.offset, meta.attempt, deadBefore]),
      options,
    );
    expect(at.hub.heard("hub:work")).toEqual([
      { group: "drivers", events: ["pickup"], capacity: 4, ...options },
    ]);
    at.hub.hand({ offset: 1 }, { offset: 2, token: 7, attempt: 3, deadBefore: [1] });
    expect(await at.hub.hearsSettles(2)).toEqual([
      { offset: 1, token: 1, outcome: "done" },
      { offset: 2, token: 7, outcome: "done" },
    ]);
    expect(seen).toEqual([
      ["p-1", 1, 1, []],
      ["p-2", 2, 3, [1]],
    ]);
    expect(at.hub.heard("hub:settle")).toHaveLength(1); // what is settled in one turn travels in one message
    expect(at.errors).toEqual([]);
  });

  it("splits settles by what a message may carry", async () => {
    const hub = await FakeHub.start();
    hub.limits = { eventBytes: 1_000, batchEvents: 10, messageBytes: 10_000 };
    await using satellite = Object.assign(connect(parcels, { url: hub.url, role: "driver", id: "d1" }), {
      [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
    });
    const working = satellite.work("pickup", { group: "drivers", capacity: 100 }, () => undefined);
    await working.ready();
    hub.hand(...Array.from({ length: 25 }, (_, place) => ({ offset: place + 1 })));
    await hub.hearsSettles(25);
    expect(hub.heard("hub:settle").map(({ settles }) => settles.length)).toEqual([10, 10, 5]);
    await satellite.close();
  });

  it("lets an event be tried again when its handler throws, and says so; with a DeadError never again", async () => {
    await using at = await atWork((key) => {
      throw key === "p-1" ? new Error("no fuel") : new DeadError("no such street");
    });
    at.hub.hand({ offset: 1 }, { offset: 2 });
    expect(await at.hub.hearsSettles(2)).toEqual([
      { offset: 1, token: 1, outcome: "retry", error: "no fuel" },
      { offset: 2, token: 2, outcome: "dead", error: "no such street" },
    ]);
    expect(at.errors).toEqual([["no fuel", 1]]);
  });

  it("settles as its handler says, once; afterwards the handler can do nothing more with the claim", async () => {
    const codes: string[] = [];
    await using at = await atWork(async (key, { retry, dead, back, done, emit, signal }) => {
      if (key === "p-1") await retry("later");
      if (key === "p-2") await dead("never");
      if (key === "p-3") await back();
      codes.push(await codeFrom(done()), await codeFrom(emit("delivered", delivered)), `${signal.aborted}`);
    });
    at.hub.hand({ offset: 1 }, { offset: 2 }, { offset: 3 });
    await until(() => codes.length === 9);
    expect(at.hub.settles).toEqual([
      { offset: 1, token: 1, outcome: "retry", error: "later" },
      { offset: 2, token: 2, outcome: "dead", error: "never" },
      { offset: 3, token: 3, outcome: "back" },
    ]);
    expect(new Set(codes)).toEqual(new Set(["LEASE_LOST", "false"]));
    await at.working.stop();
    expect([at.hub.settles.length, at.hub.heard("hub:emit"), at.errors]).toEqual([3, [], []]);
  });

  it("settles what its handler has not settled, even where that has thrown away the promise", async () => {
    await using at = await atWork((_key, context) => void context.back());
    at.hub.hand({ offset: 1 });
    expect(outcomes(await at.hub.hearsSettles(1))).toEqual([[1, "back"]]);
    await at.working.stop();
    expect(at.hub.settles).toHaveLength(1);
  });

  it("works on no more than the hub hands over, and on all of it, whatever its capacity is by then", async () => {
    await using at = await heldAtWork();
    at.working.capacity = 1;
    expect(await at.hub.hears("hub:work", 2)).toEqual({ group: "drivers", events: ["pickup"], capacity: 1 });
    at.hub.hand({ offset: 1 }, { offset: 2 });
    await until(() => at.running.length === 2);
    at.open();
    await at.hub.hearsSettles(2);
    for (const capacity of [-1, 1.5, 10_001, Number.NaN]) {
      expect(() => {
        at.working.capacity = capacity;
      }).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
    }
    expect(at.working.capacity).toBe(1);
  });

  it("is one per group and satellite", async () => {
    await using at = await atWork(() => undefined);
    const again = () => at.satellite.work("pickup", { group: "drivers", capacity: 1 }, () => undefined);
    expect(again).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
    await at.working.stop();
    await again().ready();
    at.hub.hand({ offset: 1 });
    await at.hub.hearsSettles(1);
  });

  it("stops when handlers that run are done and answered, and gives back what comes meanwhile", async () => {
    await using at = await heldAtWork();
    at.hub.hand({ offset: 1 });
    await until(() => at.running.length === 1);
    let isStopped = false;
    const stopped = at.working.stop().then(() => {
      isStopped = true;
    });
    expect((await at.hub.hears("hub:work", 2)).capacity).toBe(0);
    at.hub.hand({ offset: 2 });
    expect(outcomes(await at.hub.hearsSettles(1))).toEqual([[2, "back"]]);
    expect(isStopped).toBe(false);
    at.open();
    await stopped;
    expect(outcomes(at.hub.settles)).toEqual([
      [2, "back"],
      [1, "done"],
    ]);
    expect(at.running.map(({ key }) => key)).toEqual(["p-1"]);
    await expect(at.working.ready()).rejects.toMatchObject({ code: "CLOSED" });
  });
});

describe("events said in a handler", () => {
  it("have ids of the claim, the same in every attempt, and say which claim they belong to", async () => {
    await using at = await atWork(async (_key, { emit, meta }) => {
      const { id, offset } = await emit("in-transit", collected);
      expect(offset).toBeGreaterThan(100);
      expect(id).toBe("drivers:1:in-transit");
      await Promise.all([emit("in-transit", collected), emit("delivered", delivered)]);
      await emit("delivered", delivered, { id: `own-${meta.attempt}` });
      await emit("delivered", delivered);
      if (meta.attempt === 1) throw new Error("again");
    });
    at.hub.hand({ offset: 1 });
    await at.hub.hearsSettles(1);
    at.hub.hand({ offset: 1, token: 2, attempt: 2 });
    await at.hub.hearsSettles(2);
    const said = at.hub.heard("hub:emit").flat();
    const ids = (attempt: number) => [
      "drivers:1:in-transit",
      "drivers:1:in-transit:2",
      "drivers:1:delivered",
      `own-${attempt}`,
      "drivers:1:delivered:2",
    ];
    expect(said.map(([, , { id }]) => id)).toEqual([...ids(1), ...ids(2)]);
    expect(said[0]).toEqual([
      "in-transit",
      collected,
      { id: "drivers:1:in-transit", claim: { group: "drivers", offset: 1, token: 1 } },
    ]);
    expect(at.errors).toEqual([["again", 1]]);
  });

  it("are refused here where they are not plain JSON", async () => {
    const codes: string[] = [];
    await using at = await atWork(async (_key, { emit, done }) => {
      const circular: Record<string, unknown> = {};
      circular.self = circular;
      codes.push(await codeFrom(emit("delivered", circular as never)));
      codes.push(await codeFrom(done(["delivered", circular as never])));
      await emit("delivered", delivered);
      await done();
    });
    at.hub.hand({ offset: 1 });
    expect(outcomes(await at.hub.hearsSettles(1))).toEqual([[1, "done"]]);
    expect(codes).toEqual(["DATA_INVALID", "DATA_INVALID"]);
  });

  it("take the claim from the handler when the hub refuses them with LEASE_LOST", async () => {
    const codes: string[] = [];
    await using at = await atWork(async (_key, { emit, done, signal }) => {
      codes.push(await codeFrom(emit("delivered", delivered)), await aborted(signal), await codeFrom(done()));
    });
    at.hub.answers["hub:emit"] = () => ({ ok: true, receipts: [refused("LEASE_LOST")] });
    at.hub.hand({ offset: 1 });
    await until(() => at.errors.length === 1);
    expect(codes).toEqual(["LEASE_LOST", "LEASE_LOST", "LEASE_LOST"]);
    expect([at.errors, at.hub.settles]).toEqual([[["LEASE_LOST", 1]], []]);
  });

  it("do not take the claim from a settle that came before them, when they are refused for it", async () => {
    const codes: string[] = [];
    await using at = await atWork(async (_key, { emit, retry }) => {
      const saying = emit("delivered", delivered).catch((error) => codes.push(codeOf(error)));
      const settling = codeFrom(retry("later"));
      await saying;
      codes.push(await settling);
    });
    const { open, isOpen } = gate();
    at.hub.answers["hub:emit"] = () => ({ ok: true, receipts: [refused("LEASE_LOST")] });
    at.hub.answers["hub:settle"] = () => {
      open();
      return { ok: true, replies: [{ ok: true, receipts: [] }] };
    };
    at.hub.hand({ offset: 1 });
    await isOpen;
    await at.working.stop();
    expect([codes, at.errors]).toEqual([["LEASE_LOST", ""], []]);
  });

  it("have their receipts before the claim is done, also where the handler does not wait for them", async () => {
    await using at = await atWork((_key, { emit }) => void emit("delivered", delivered));
    const { open, isOpen } = gate();
    at.hub.answers["hub:emit"] = () => {
      open();
      return undefined;
    };
    at.hub.hand({ offset: 1 });
    await isOpen;
    await turn();
    expect(at.hub.settles).toEqual([]);
    at.hub.answers["hub:emit"] = () => ({ ok: true, receipts: [refused("DATA_INVALID")] });
    at.hub.cut(); // and it is said again
    expect(await at.hub.hearsSettles(1)).toMatchObject([{ offset: 1, outcome: "retry" }]);
    expect(at.errors).toEqual([["DATA_INVALID", 1]]);
  });

  it("are left out of a stored outbox: after a crash whoever gets the claim says them again", async () => {
    const directory = await mkdtemp(join(tmpdir(), "orrery-work-"));
    const file = join(directory, "outbox");
    {
      const { open, isOpen } = gate();
      const options = { outbox: { file } };
      await using at = await atWork((_key, { emit }) => emit("delivered", delivered), {}, options);
      at.hub.answers["hub:emit"] = () => open();
      at.hub.hand({ offset: 1 });
      await isOpen;
      expect(existsSync(file)).toBe(false);
      void at.satellite.emit("delivered", delivered).catch(() => undefined);
      await at.hub.hears("hub:emit", 2);
      expect(existsSync(file)).toBe(true);
    }
    await rm(directory, { recursive: true });
  });
});

describe("done with events", () => {
  it("says them in the settle, under ids of the claim, and gives their receipts", async () => {
    const receipts: unknown[] = [];
    await using at = await atWork(async (_key, { emit, done }) => {
      await emit("delivered", delivered);
      receipts.push(
        ...(await done(
          ["in-transit", collected],
          ["delivered", delivered, { id: "own" }],
          ["delivered", delivered],
        )),
      );
    });
    at.hub.hand({ offset: 1 });
    expect(await at.hub.hearsSettles(1)).toEqual([
      {
        offset: 1,
        token: 1,
        outcome: "done",
        events: [
          ["in-transit", collected, { id: "drivers:1:in-transit" }],
          ["delivered", delivered, { id: "own" }],
          ["delivered", delivered, { id: "drivers:1:delivered:2" }],
        ],
      },
    ]);
    await at.working.stop();
    expect(receipts).toMatchObject([
      { ok: true, id: "drivers:1:in-transit" },
      { ok: true, id: "own" },
      { ok: true, id: "drivers:1:delivered:2" },
    ]);
  });

  it("rejects where one is refused; the claim is held on, and what is said instead has the same id", async () => {
    const codes: string[] = [];
    await using at = await atWork(async (_key, { done }) => {
      codes.push(await codeFrom(done(["delivered", { ...delivered, driverId: "" }])));
      codes.push(await codeFrom(done(["delivered", delivered])));
    });
    at.hub.answers["hub:settle"] = ({ settles: [settle] }) => ({
      ok: true,
      replies: [settle.events[0][1].driverId === "" ? refused("DATA_INVALID") : at.hub.settled(settle)],
    });
    at.hub.hand({ offset: 1 });
    const settles = await at.hub.hearsSettles(2);
    expect(settles.map(({ events }) => events?.[0]?.[2]?.id)).toEqual([
      "drivers:1:delivered",
      "drivers:1:delivered",
    ]);
    await at.working.stop();
    expect([codes, at.errors, at.hub.settles.length]).toEqual([["DATA_INVALID", ""], [], 2]);
  });

  it("fails the attempt where it is refused and the handler leaves it at that", async () => {
    await using at = await atWork((key, { done }) => {
      const settling = done(["delivered", delivered]);
      return key === "p-1" ? settling.catch(() => undefined) : undefined;
    });
    at.hub.answers["hub:settle"] = ({ settles }) => ({
      ok: true,
      replies: settles.map((one: Settle) =>
        one.outcome === "done" ? refused("FORBIDDEN") : at.hub.settled(one),
      ),
    });
    at.hub.hand({ offset: 1 }, { offset: 2 });
    const settles = await at.hub.hearsSettles(4);
    expect(new Set(outcomes(settles).map(String))).toEqual(
      new Set(["1,done", "2,done", "1,retry", "2,retry"]),
    );
    expect(new Set(at.errors.map(String))).toEqual(new Set(["FORBIDDEN,1", "FORBIDDEN,2"]));
  });

  it("rejects what no message can carry, and the claim is held on", async () => {
    await using at = await atWork(async (_key, { done, dead }) => {
      const city = "x".repeat(2_000_000);
      const settling = done(["delivered", { ...delivered, customer: { city, state: "PE" } }]);
      await settling.catch((error) => dead(codeOf(error)));
    });
    at.hub.hand({ offset: 1 });
    expect(await at.hub.hearsSettles(1)).toMatchObject([{ outcome: "dead", error: "EVENT_TOO_LARGE" }]);
  });
});

describe("a lease", () => {
  it("is renewed while the handler runs, with all others of the group in one message", async () => {
    await using at = await heldAtWork();
    at.hub.hand({ offset: 1, leaseMs: 300 }, { offset: 2, leaseMs: 300 });
    for (let count = 1; count <= 4; count += 1) {
      expect(await at.hub.hears("hub:hold", count)).toEqual({
        group: "drivers",
        claims: [
          { offset: 1, token: 1 },
          { offset: 2, token: 2 },
        ],
      });
    }
    at.open();
    expect(outcomes(await at.hub.hearsSettles(2))).toEqual([
      [1, "done"],
      [2, "done"],
    ]);
    expect(at.errors).toEqual([]);
  });

  it("is not renewed by an event loop that is blocked: what its handler does then is refused", async () => {
    const codes: string[] = [];
    await using at = await atWork(async (_key, { emit, done, signal }) => {
      for (const untilMs = performance.now() + 60; performance.now() < untilMs; );
      codes.push(await codeFrom(emit("delivered", delivered)), await codeFrom(done()), await aborted(signal));
    });
    at.hub.hand({ offset: 1, leaseMs: 50 });
    await until(() => at.errors.length === 1);
    expect(codes).toEqual(["LEASE_LOST", "LEASE_LOST", "LEASE_LOST"]);
    expect([at.errors, at.hub.heard("hub:hold"), at.hub.heard("hub:emit"), at.hub.settles]).toEqual([
      [["LEASE_LOST", 1]],
      [],
      [],
      [],
    ]);
  });

  it("is lost when the hub does not answer renewals, or answers that it is", async () => {
    const codes: [string, string][] = [];
    await using at = await atWork(async (key, { signal }) => {
      codes.push([key, await aborted(signal)]);
      throw signal.reason;
    });
    at.hub.answers["hub:hold"] = () => undefined;
    at.hub.hand({ offset: 1, leaseMs: 300 });
    await until(() => codes.length === 1);
    expect(at.hub.heard("hub:hold").length).toBeGreaterThan(0);
    at.hub.answers["hub:hold"] = () => ({ ok: true, lost: [2] });
    at.hub.hand({ offset: 2, leaseMs: 200 });
    await until(() => codes.length === 2);
    at.hub.hand({ offset: 3 });
    const before = at.hub.heard("hub:work").length;
    at.hub.say("hub:lost", { group: "drivers", offsets: [3] });
    await until(() => at.errors.length === 3);
    await until(() => at.hub.heard("hub:work").length === before + 1); // it is there, and will have more
    expect(codes).toEqual([
      ["p-1", "LEASE_LOST"],
      ["p-2", "LEASE_LOST"],
      ["p-3", "LEASE_LOST"],
    ]);
    expect([at.errors, at.hub.settles]).toEqual([
      [
        ["LEASE_LOST", 1],
        ["LEASE_LOST", 2],
        ["LEASE_LOST", 3],
      ],
      [],
    ]);
  });

  it("is lost when the event is handed over anew, to this satellite itself", async () => {
    await using at = await heldAtWork();
    at.hub.hand({ offset: 1, token: 1 });
    at.hub.hand({ offset: 1, token: 1 }); // a repeat is no new hand-over
    at.hub.hand({ offset: 1, token: 2 });
    await until(() => at.running.length === 2);
    expect(at.running.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    at.open();
    expect(await at.hub.hearsSettles(1)).toEqual([{ offset: 1, token: 2, outcome: "done" }]);
  });

  it("is renewed while a settle waits for the hub's disk, until that is answered", async () => {
    await using at = await atWork(() => undefined);
    at.hub.answers["hub:settle"] = () => ({ ok: true, replies: [refused("LOG_FULL")] });
    at.hub.hand({ offset: 1, leaseMs: 300 });
    await at.hub.hears("hub:hold", 2);
    at.hub.answers["hub:settle"] = () => ({ ok: true, replies: [{ ok: true, receipts: [] }] });
    expect(outcomes(await at.hub.hearsSettles(2))).toEqual([
      [1, "done"],
      [1, "done"],
    ]);
    await at.working.stop();
    expect(at.errors).toEqual([]);
  });
});

describe("after a reconnect", () => {
  it("goes on with its claims, but for those that the hub says are lost", async () => {
    await using at = await heldAtWork();
    at.hub.hand({ offset: 1 }, { offset: 2, token: 5 });
    await until(() => at.running.length === 2);
    at.hub.lost = [1];
    at.hub.cut();
    expect((await at.hub.hears("hub:work", 2)).held).toEqual([
      { offset: 1, token: 1 },
      { offset: 2, token: 5 },
    ]);
    // All that was missed meanwhile is made up for at once.
    expect((await at.hub.hears("hub:hold")).claims).toEqual([{ offset: 2, token: 5 }]);
    expect(at.running.filter(({ signal }) => signal.aborted).map(({ key }) => key)).toEqual(["p-1"]);
    at.open();
    expect(await at.hub.hearsSettles(1)).toEqual([{ offset: 2, token: 5, outcome: "done" }]);
  });

  it("says what belongs to a claim when the hub has taken the satellite in again, and not before", async () => {
    await using at = await atWork((_key, { emit }) => emit("delivered", delivered));
    at.hub.answers["hub:emit"] = () => at.hub.cut();
    const { "hub:work": join } = at.hub.answers;
    at.hub.answers["hub:work"] = () => undefined;
    at.hub.hand({ offset: 1 });
    await at.hub.hears("hub:work", 2);
    at.hub.answers["hub:emit"] = (entries) => ({
      ok: true,
      receipts: entries.map(() => ({ ok: true, id: "", offset: 1 })),
    });
    await at.satellite.emit("delivered", delivered, { id: "another" }); // which passes it
    expect(at.hub.heard("hub:emit")).toHaveLength(2);
    Object.assign(at.hub.answers, { "hub:work": join });
    at.hub.cut();
    const [entry] = await at.hub.hears("hub:emit", 3);
    expect(entry).toEqual(at.hub.heard("hub:emit")[0][0]);
    expect(outcomes(await at.hub.hearsSettles(1))).toEqual([[1, "done"]]);
  });

  it("loses what it could not renew while there was no hub", async () => {
    const codes: string[] = [];
    await using at = await atWork(async (_key, { emit, signal }) => {
      const saying = emit("delivered", delivered);
      codes.push(await aborted(signal));
      await new Promise((resolve) => setTimeout(resolve, 10)); // a rejection that nobody waits for is no harm meanwhile
      codes.push(await codeFrom(saying));
    });
    at.hub.answers["hub:emit"] = () => at.hub.cut();
    at.hub.answers["hub:work"] = () => at.hub.cut();
    at.hub.hand({ offset: 1, leaseMs: 100 });
    await until(() => codes.length === 2);
    expect(codes).toEqual(["LEASE_LOST", "LEASE_LOST"]);
    await at.working.stop(); // nothing is left to wait for
  });

  it("settles again what was not answered, and takes that answer for it, not that the hub holds it no more", async () => {
    const ends: string[] = [];
    await using at = await atWork(async (key, { done }) => {
      ends.push(`${key} ${await codeFrom(done(["delivered", delivered]))}`);
    });
    at.hub.answers["hub:settle"] = () => at.hub.cut(); // it is on disk by now
    at.hub.lost = [1, 2];
    at.hub.hand({ offset: 1 }, { offset: 2 });
    await at.hub.hearsSettles(2);
    at.hub.answers["hub:settle"] = ({ settles: [first] }) => ({
      ok: true,
      replies: [at.hub.settled(first), refused("LEASE_LOST")], // it remembers one of them
    });
    await at.hub.hearsSettles(4);
    await until(() => ends.length === 2);
    expect(ends).toEqual(["p-1 ", "p-2 LEASE_LOST"]);
    const [first, , again] = at.hub.settles;
    expect(again).toEqual(first);
  });

  it("to another log loses all of its claims, and lists none", async () => {
    await using at = await heldAtWork();
    at.hub.hand({ offset: 1 });
    await until(() => at.running.length === 1);
    at.hub.epoch = "another";
    at.hub.cut();
    expect(await at.hub.hears("hub:work", 2)).not.toHaveProperty("held");
    expect(at.running[0]?.signal.aborted).toBe(true);
    at.open();
  });

  it("while it is stopping, takes nothing and settles what runs", async () => {
    await using at = await heldAtWork();
    at.hub.hand({ offset: 1 });
    await until(() => at.running.length === 1);
    const stopped = at.working.stop();
    await at.hub.hears("hub:work", 2);
    at.hub.cut();
    expect(await at.hub.hears("hub:work", 3)).toMatchObject({ capacity: 0, held: [{ offset: 1, token: 1 }] });
    at.open();
    await stopped;
    expect(outcomes(at.hub.settles)).toEqual([[1, "done"]]);
  });
});

describe("a membership", () => {
  it("that the hub refuses or ends for good is over: its claims are lost, and onEnd hears why", async () => {
    const ends: string[] = [];
    await using at = await heldAtWork({ onEnd: ({ code }) => void ends.push(code) });
    at.hub.hand({ offset: 1 });
    await until(() => at.running.length === 1);
    at.hub.say("hub:unworked", { group: "drivers", error: refused("GROUP_UNKNOWN").error });
    await until(() => ends.length === 1);
    expect([ends, at.running[0]?.signal.aborted]).toEqual([["GROUP_UNKNOWN"], true]);
    at.open();
    at.hub.answers["hub:work"] = () => refused("GROUP_DIFFERS");
    const options = { group: "drivers", capacity: 1, onEnd: () => undefined };
    const working = at.satellite.work("pickup", options, () => undefined);
    await expect(working.ready()).rejects.toMatchObject({ code: "GROUP_DIFFERS" });
  });

  it("that the hub ends for now is asked for again, with the claims that run", async () => {
    await using at = await heldAtWork();
    at.hub.hand({ offset: 1 });
    await until(() => at.running.length === 1);
    at.hub.say("hub:unworked", { group: "drivers", error: refused("LOG_FAILED").error });
    expect((await at.hub.hears("hub:work", 2)).held).toEqual([{ offset: 1, token: 1 }]);
    at.open();
    expect(outcomes(await at.hub.hearsSettles(1))).toEqual([[1, "done"]]);
    expect(at.errors).toEqual([]);
  });
});

describe("closing a satellite", () => {
  it("waits for handlers that run, what they settle and what they have said", async () => {
    const { open, isOpen } = gate();
    let begun = 0;
    await using at = await atWork(async (_key, { emit }) => {
      begun += 1;
      await isOpen;
      await emit("delivered", delivered);
    });
    at.hub.hand({ offset: 1 });
    await until(() => begun === 1);
    const closed = at.satellite.close({ drainMs: 10_000 });
    expect((await at.hub.hears("hub:work", 2)).capacity).toBe(0);
    open();
    await closed;
    expect(outcomes(at.hub.settles)).toEqual([[1, "done"]]);
    expect(at.errors).toEqual([]);
    const work = () => at.satellite.work("pickup", { group: "g", capacity: 1 }, () => undefined);
    expect(work).toThrow(expect.objectContaining({ code: "CLOSED" }));
  });

  it("takes the claims from handlers that take too long", async () => {
    const codes: string[] = [];
    let begun = 0;
    await using at = await atWork(async (_key, { signal }) => {
      begun += 1;
      codes.push(await aborted(signal));
    });
    at.hub.hand({ offset: 1 });
    await until(() => begun === 1);
    await at.satellite.close({ drainMs: 20 });
    expect([codes, at.errors, at.hub.settles]).toEqual([["LEASE_LOST"], [], []]);
  });
});

it("groups, what they have given up, and the history of a key can be asked for", async () => {
  await using at = await atWork(() => undefined);
  Object.assign(at.hub.answers, {
    "hub:groups": () => ({ ok: true, groups: ["a group"] }),
    "hub:dead": () => ({ ok: true, dead: ["an event"] }),
    "hub:history": ({ after }: { readonly after?: string }) =>
      after === undefined
        ? { ok: true, entries: ["an entry"], next: "7" }
        : { ok: true, entries: ["another one"] },
    "hub:redrive": () => ({ ok: true }),
    "hub:drop": () => refused("NOT_DEAD"),
    "hub:forget": () => ({ ok: true }),
  });
  expect(await at.satellite.groups()).toEqual(["a group"]);
  expect(await at.satellite.dead("drivers")).toEqual(["an event"]);
  expect(await at.satellite.history("p-1")).toEqual(["an entry", "another one"]);
  await at.satellite.redriveDead("drivers", 3);
  await expect(at.satellite.drop("drivers", 4)).rejects.toMatchObject({ code: "NOT_DEAD" });
  expect(await at.satellite.dead("drivers", 7)).toEqual(["an event"]);
  await at.satellite.forgetGroup("drivers");
  const names = ["hub:dead", "hub:history", "hub:redrive", "hub:drop", "hub:forget"];
  expect(names.flatMap((name) => at.hub.heard(name))).toEqual([
    { group: "drivers", after: 0 },
    { group: "drivers", after: 7 },
    { key: "p-1" },
    { key: "p-1", after: "7" },
    { group: "drivers", offset: 3 },
    { group: "drivers", offset: 4 },
    { group: "drivers" },
  ]);
});
