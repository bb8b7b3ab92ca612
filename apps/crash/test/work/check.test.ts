import { terms } from "../../src/work/cast.ts";
import { type Attempt, checkWork, handedOnOf, type WorkEvidence } from "../../src/work/check.ts";

const [first, second] = ["drivers-1.0", "drivers-2.0"];

/**
 * Two parcels. The first is done at once; the second is handed to a driver whose process is stopped from 1_000 to 4_000, and
 * after its lease to another one.
 */
const whole = {
  pickupsSaid: 2,
  faults: [{ kind: "stop", name: "drivers-1", fromMs: 1_000, untilMs: 4_000 }],
  pickups: [
    { offset: 1, key: "a" },
    { offset: 2, key: "b" },
  ],
  said: [
    { place: 3, event: "in-transit", key: "a", driver: first, attempt: 1 },
    { place: 4, event: "delivered", key: "a", driver: first, attempt: 1 },
    { place: 6, event: "in-transit", key: "b", driver: first, attempt: 1 },
    { place: 8, event: "delivered", key: "b", driver: second, attempt: 2 },
  ],
  attempts: [
    { place: 5, offset: 1, attempt: 1, driver: first, outcome: "done", atMs: 500 },
    { place: 7, offset: 2, attempt: 1, driver: first, outcome: "expired", atMs: 1_900 },
    { place: 9, offset: 2, attempt: 2, driver: second, outcome: "done", atMs: 2_500 },
  ],
  traces: [
    { driver: first, offset: 1, attempt: 1, atMs: 100, what: "claimed" },
    { driver: first, offset: 1, attempt: 1, atMs: 150, what: "said", place: 3 },
    { driver: first, offset: 1, attempt: 1, atMs: 510, what: "settled", place: 4 },
    { driver: first, offset: 2, attempt: 1, atMs: 900, what: "claimed" },
    { driver: first, offset: 2, attempt: 1, atMs: 950, what: "said", place: 6 },
    { driver: second, offset: 2, attempt: 2, atMs: 1_950, what: "claimed" },
    { driver: second, offset: 2, attempt: 2, atMs: 2_000, what: "said", place: 6 },
    { driver: second, offset: 2, attempt: 2, atMs: 2_510, what: "settled", place: 8 },
    { driver: first, offset: 2, attempt: 1, atMs: 4_010, what: "lost" },
  ],
} as const satisfies WorkEvidence;

/** The faults of a run that differs so from one without faults, with their counts. */
const faults = (changes: Partial<WorkEvidence>) =>
  Object.fromEntries(
    checkWork({ ...whole, ...changes })
      .filter(({ count }) => count > 0)
      .map(({ fault, count }) => [fault, count]),
  );
const without = <One>(all: readonly One[], ...places: readonly number[]) =>
  all.filter((_, place) => !places.includes(place));
const changed = <One>(all: readonly One[], place: number, changes: Partial<One>) =>
  all.map((one, at) => (at === place ? { ...one, ...changes } : one));
const attempts: readonly Attempt[] = whole.attempts;
const said: WorkEvidence["said"] = whole.said;
const traces: WorkEvidence["traces"] = whole.traces;

describe("the check of work finds", () => {
  it("nothing where every promise was kept", () => {
    expect(faults({})).toEqual({});
  });

  it("a pickup that the log does not have, or twice", () => {
    expect(faults({ pickupsSaid: 3 })).toEqual({ "pickups missing in the log, or twice": 1 });
    const twice = [...whole.pickups, { offset: 10, key: "b" }];
    expect(faults({ pickups: twice })).toMatchObject({ "pickups missing in the log, or twice": 1 });
  });

  it("a parcel that was collected twice, or never", () => {
    const twice = [...said, { place: 10, event: "in-transit", key: "a", driver: first, attempt: 1 } as const];
    expect(faults({ said: twice })).toMatchObject({ "parcels without exactly one in-transit": 1 });
    expect(faults({ said: without(said, 2) })).toMatchObject({
      "parcels without exactly one in-transit": 1,
      "delivered before in-transit": 1,
    });
  });

  it("a parcel that was delivered twice, or never, or before it was collected", () => {
    const twice = [...said, { place: 10, event: "delivered", key: "a", driver: first, attempt: 1 } as const];
    expect(faults({ said: twice })).toMatchObject({ "parcels without exactly one delivered": 1 });
    expect(faults({ said: without(said, 3) })).toMatchObject({ "parcels without exactly one delivered": 1 });
    const early = changed(changed(said, 0, { place: 4 }), 1, { place: 3 });
    expect(faults({ said: early })).toMatchObject({ "delivered before in-transit": 1 });
  });

  it("two accepted claims of one pickup, or none", () => {
    const done = { place: 10, offset: 1, attempt: 2, driver: second, outcome: "done", atMs: 5_000 };
    expect(faults({ attempts: [...attempts, done] })).toMatchObject({
      "pickups without exactly one accepted claim": 1,
      "attempts not in order, or something after the one that was done": 1,
    });
    const dead = changed(attempts, 2, { outcome: "dead" });
    expect(faults({ attempts: dead })).toMatchObject({ "pickups without exactly one accepted claim": 1 });
  });

  it("an attempt that is missing", () => {
    expect(faults({ attempts: without(attempts, 1) })).toMatchObject({
      "attempts not in order, or something after the one that was done": 1,
      "handed over while another one had it": 1,
    });
  });

  it("what a driver said after its claim was over, or under an attempt that is not its own", () => {
    // Collected by the first attempt when the second was under way.
    const late = changed(said, 2, { place: 7.5 });
    expect(faults({ said: late })).toMatchObject({ "said under a claim that was not current": 1 });
    const wrong = changed(said, 0, { attempt: 2 });
    expect(faults({ said: wrong })).toEqual({ "said under a claim that was not current": 1 });
  });

  it("a settle that is not in one place with what was said with it", () => {
    expect(faults({ attempts: changed(attempts, 2, { place: 10 }) })).toEqual({
      "done apart from its delivered": 1,
    });
  });

  it("two drivers that have the same parcel at once", () => {
    expect(faults({ traces: changed(traces, 5, { atMs: 1_899 }) })).toEqual({
      "handed over while another one had it": 1,
    });
    const both = [...traces, { driver: second, offset: 1, attempt: 1, atMs: 120, what: "claimed" } as const];
    expect(faults({ traces: both })).toMatchObject({
      "handed over twice as one attempt": 1,
      "handed over to one and ended by another": 1,
    });
  });

  it("an answer that is not so in the log", () => {
    const elsewhere = changed(traces, 1, { place: 6 });
    expect(faults({ traces: elsewhere })).toEqual({ "answered to a driver, but not so in the log": 1 });
    // Its settle was answered, and the log has the attempt as one that ran out.
    const stale = changed<object>(traces, 8, { what: "settled", place: 8 }) as typeof traces;
    expect(faults({ traces: stale })).toEqual({ "answered to a driver, but not so in the log": 1 });
  });

  it("a driver that woke after its lease and did not hear of it", () => {
    const fault = "woke after its lease and did not meet LEASE_LOST";
    expect(faults({ traces: without(traces, 8) })).toEqual({ [fault]: 1 });
    expect(faults({ traces: changed(traces, 8, { atMs: 7_000 }) })).toEqual({ [fault]: 1 });
    // The hub was not there to tell it: killed before, it listened again at 20 s.
    const hub = { kind: "kill", name: "hub", fromMs: 3_000, untilMs: 20_000 } as const;
    const told = (atMs: number) => ({ traces: changed(traces, 8, { atMs }), faults: [...whole.faults, hub] });
    expect(faults(told(24_900))).toEqual({});
    expect(faults(told(25_100))).toEqual({ [fault]: 1 });
    const killed = { kind: "kill", name: "drivers-1", fromMs: 4_005, untilMs: 4_100 } as const;
    expect(faults({ traces: without(traces, 8), faults: [...whole.faults, killed] })).toEqual({});
  });

  it("no fault in a driver that was killed in the moment in which it wrote down its claim, and stopped in its next life", () => {
    const killed = { kind: "kill", name: "drivers-1", fromMs: 900, untilMs: 950 } as const;
    expect(faults({ traces: without(traces, 4, 8), faults: [killed, ...whole.faults] })).toEqual({});
  });

  it("a settle that was taken from a driver long after its lease", () => {
    const late = changed(without(attempts, 2), 1, { outcome: "done", atMs: 4_100, place: 9 });
    expect(faults({ attempts: late })).toMatchObject({ "accepted after its lease": 1 });
  });

  it("a claim that was taken back, or handed on, too late after a stop; a hub that was away has longer", () => {
    const late = {
      attempts: changed(changed(attempts, 1, { atMs: 6_000 }), 2, { atMs: 6_900 }),
      traces: changed(traces, 5, { atMs: 6_050 }),
    };
    expect(faults(late)).toEqual({
      "taken back later than the lease and the stated bit": 1,
      "handed on later than the lease and the stated bit": 1,
    });
    const hub = { kind: "stop", name: "hub", fromMs: 1_500, untilMs: 5_000 } as const;
    expect(faults({ ...late, faults: [...whole.faults, hub] })).toEqual({});
  });
});

it("measures from the stop of a driver to the next hand-over, where that went to one that was up", () => {
  expect(handedOnOf(whole)).toEqual([
    { offset: 2, attempt: 1, afterMs: 950, dueMs: terms.leaseMs + terms.backoffMs * 1.5 },
  ]);
  const down = { kind: "stop", name: "drivers-2", fromMs: 1_920, untilMs: 1_940 } as const;
  expect(handedOnOf({ ...whole, faults: [...whole.faults, down] })).toEqual([]);
});
