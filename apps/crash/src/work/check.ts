import { type Finding, finding } from "../finding.ts";
import { processOf, type Trace, terms } from "./cast.ts";

export interface Pickup {
  readonly offset: number;
  /** The parcel; of its own for each pickup. */
  readonly key: string;
}

/** What a driver said of a parcel, as the log has it. */
export interface Said {
  readonly place: number;
  readonly event: "in-transit" | "delivered";
  readonly key: string;
  readonly driver: string;
  /** The one that said it, by its own word. */
  readonly attempt: number;
}

/** How an attempt ended, as the hub has put it into the log. */
export interface Attempt {
  readonly place: number;
  /** The pickup's. */
  readonly offset: number;
  readonly attempt: number;
  readonly driver: string;
  readonly outcome: string;
  readonly atMs: number;
}

/** What was done to a process. */
export interface Fault {
  readonly kind: "stop" | "kill";
  /** `hub`, or a process of drivers. */
  readonly name: string;
  readonly fromMs: number;
  /** Just before SIGCONT or the next start; for the hub, when it listens again. */
  readonly untilMs: number;
}

/** All that is left of a run. Times are of one clock, milliseconds since 1970. */
export interface WorkEvidence {
  readonly pickupsSaid: number;
  readonly faults: readonly Fault[];
  /** These three in the order of the log. */
  readonly pickups: readonly Pickup[];
  readonly said: readonly Said[];
  readonly attempts: readonly Attempt[];
  /** Of each life of each process in the order in which they were written. */
  readonly traces: readonly Trace[];
}

/**
 * The stated bit. What a hub and drivers on two busy cores take beside the lease to notice, write and hand over, and a woken
 * driver to say what it met: 727 ms at most of 449 claims in a long run.
 */
const bitMs = 2_000;
/** The SDK calls a hub that was gone again within 2 s, times up to 1.5 by chance. */
const reconnectMs = 3_000;

/** A claim that a driver had open when its process was stopped or killed. */
interface Cut {
  readonly trace: Trace;
  readonly fault: Fault;
}

/** From a fault to the next hand-over of a claim that it cut. */
export interface HandedOn {
  readonly offset: number;
  readonly attempt: number;
  readonly afterMs: number;
  /** Of it the lease, the wait before the next attempt, and the hub's own faults meanwhile, all at their most. */
  readonly dueMs: number;
}

/** Holds what was promised against what is left: a finding for each promise, in this order, with 0 where it was kept. Pure. */
export function checkWork(evidence: WorkEvidence): readonly Finding[] {
  const { pickups, said, attempts, traces, pickupsSaid } = evidence;
  const saidOf = groupedBy(said, ({ key }) => key);
  const attemptsOf = groupedBy(attempts, ({ offset }) => offset);
  const keys = new Map(pickups.map(({ offset, key }) => [offset, key]));
  const offsets = new Map(pickups.map(({ offset, key }) => [key, offset]));
  const endOf = endsOf(attempts);
  const claimed = traces.filter(({ what }) => what === "claimed");
  const doneOf = ({ offset }: Pickup) =>
    (attemptsOf.get(offset) ?? []).filter(({ outcome }) => outcome === "done");
  const eventsOf = ({ key }: Pickup, name: Said["event"]) =>
    (saidOf.get(key) ?? []).filter(({ event }) => event === name);
  const cuts = cutsOf(evidence);
  const handedOn = handedOnOf(evidence);
  return [
    finding("pickups missing in the log, or twice", [
      ...Array.from({ length: Math.max(0, pickupsSaid - keys.size) }),
      ...pickups.filter(({ offset, key }) => offsets.get(key) !== offset),
    ]),
    ...(["in-transit", "delivered"] as const).map((name) =>
      finding(
        `parcels without exactly one ${name}`,
        pickups.filter((pickup) => eventsOf(pickup, name).length !== 1),
      ),
    ),
    finding(
      "delivered before in-transit",
      pickups.filter((pickup) => {
        const [[collected], [delivered]] = [eventsOf(pickup, "in-transit"), eventsOf(pickup, "delivered")];
        return delivered !== undefined && !(collected !== undefined && collected.place < delivered.place);
      }),
    ),
    finding(
      "pickups without exactly one accepted claim",
      pickups.filter((pickup) => doneOf(pickup).length !== 1),
    ),
    finding(
      "attempts not in order, or something after the one that was done",
      pickups.filter(({ offset }) =>
        (attemptsOf.get(offset) ?? []).some(
          ({ attempt, outcome }, place, all) =>
            attempt !== place + 1 || (outcome === "done" && place + 1 < all.length),
        ),
      ),
    ),
    finding(
      "said under a claim that was not current",
      said.filter(({ place, key, driver, attempt }) => {
        const current = (attemptsOf.get(offsets.get(key) ?? 0) ?? []).find((one) => one.place > place);
        return current?.driver !== driver || current.attempt !== attempt;
      }),
    ),
    finding(
      "done apart from its delivered",
      attempts.filter(
        ({ outcome, offset, place }) =>
          outcome === "done" &&
          !(saidOf.get(keys.get(offset) ?? "") ?? []).some(
            (one) => one.event === "delivered" && one.place === place - 1,
          ),
      ),
    ),
    finding("handed over twice as one attempt", [...repeated(claimed)]),
    finding(
      "handed over while another one had it",
      claimed.filter(({ offset, attempt, atMs }) => {
        const before = endOf(offset, attempt - 1);
        return attempt > 1 && !(before !== undefined && before.atMs <= atMs);
      }),
    ),
    finding(
      "handed over to one and ended by another",
      claimed.filter(({ offset, attempt, driver }) => endOf(offset, attempt)?.driver !== driver),
    ),
    finding(
      "answered to a driver, but not so in the log",
      traces.filter((trace) => {
        if (trace.what !== "said" && trace.what !== "settled") return false;
        const name = trace.what === "said" ? "in-transit" : "delivered";
        const event = (saidOf.get(keys.get(trace.offset) ?? "") ?? []).find((one) => one.event === name);
        const isAccepted = endOf(trace.offset, trace.attempt)?.outcome === "done";
        return event?.place !== trace.place || (trace.what === "settled" && !isAccepted);
      }),
    ),
    finding("woke after its lease and did not meet LEASE_LOST", unaware(evidence, cuts)),
    finding(
      "accepted after its lease",
      cuts.filter((cut) => {
        const end = endOf(cut.trace.offset, cut.trace.attempt);
        return end?.outcome === "done" && isLate(evidence, cut, end);
      }),
    ),
    finding(
      "taken back later than the lease and the stated bit",
      cuts.filter((cut) => {
        const end = endOf(cut.trace.offset, cut.trace.attempt);
        return end === undefined || isLate(evidence, cut, end);
      }),
    ),
    finding(
      "handed on later than the lease and the stated bit",
      handedOn.filter(({ afterMs, dueMs }) => afterMs > dueMs + bitMs),
    ),
  ];
}

/** The claims that were open when their process was stopped or killed. */
export function cutsOf({ faults, traces }: WorkEvidence): readonly Cut[] {
  const ends = new Map(traces.filter(isEnd).map((trace) => [nameOf(trace), trace.atMs]));
  return traces.flatMap((trace) => {
    if (trace.what !== "claimed") return [];
    const endMs = ends.get(nameOf(trace)) ?? Number.POSITIVE_INFINITY;
    // The first one: of the others, a driver that has not noticed yet is no more than a witness. A signal takes a moment, in
    // which a driver can still write down a claim.
    const fault = faults
      .filter(({ name, fromMs, untilMs }) => {
        return name === processOf(trace.driver) && trace.atMs < untilMs && fromMs < endMs;
      })
      .sort((a, b) => a.fromMs - b.fromMs)[0];
    return fault === undefined ? [] : [{ trace, fault }];
  });
}

/**
 * What was taken from who was stopped or killed, and handed over next to one that was not, for a driver that is stopped itself
 * writes down nothing.
 */
export function handedOnOf(evidence: WorkEvidence): readonly HandedOn[] {
  const { attempts, faults, traces } = evidence;
  const endOf = endsOf(attempts);
  const claims = new Map(
    traces.filter(({ what }) => what === "claimed").map((trace) => [nameOf(trace), trace]),
  );
  return cutsOf(evidence).flatMap(({ trace: { offset, attempt }, fault }) => {
    const end = endOf(offset, attempt);
    const next = claims.get(nameOf({ offset, attempt: attempt + 1 }));
    // One that was over before the fault, and of which the driver had not heard yet, is none of the fault's.
    if (end === undefined || next === undefined || end.outcome === "done" || end.atMs < fault.fromMs)
      return [];
    const isDown = faults.some(
      ({ name, fromMs, untilMs }) =>
        name === processOf(next.driver) && fromMs <= next.atMs && untilMs + bitMs >= end.atMs,
    );
    if (isDown) return [];
    const backoffMs = Math.min(terms.backoffMs * 2 ** (attempt - 1), 60_000) * 1.5;
    const dueMs = terms.leaseMs + backoffMs + hubAwayMs(faults, fault.fromMs, next.atMs);
    return [{ offset, attempt, afterMs: next.atMs - fault.fromMs, dueMs }];
  });
}

/** Whether the hub has ended a claim that was cut later than it may. */
function isLate({ faults }: WorkEvidence, { fault }: Cut, { atMs }: Attempt): boolean {
  return atMs > fault.fromMs + terms.leaseMs + bitMs + hubAwayMs(faults, fault.fromMs, atMs);
}

/** Those whose driver was stopped for longer than the lease, woke, was left alone, and yet wrote down no end in time. */
function unaware({ faults, traces }: WorkEvidence, cuts: readonly Cut[]): readonly Cut[] {
  const ends = new Map(traces.filter(isEnd).map((trace) => [nameOf(trace), trace.atMs]));
  return cuts.filter(({ trace, fault: { kind, name, fromMs, untilMs } }) => {
    // From the hub it hears of it, where its own clock stood still.
    const boundMs = afterMs(faults, untilMs, bitMs);
    const isHitAgain = faults.some(
      (one) => one.name === name && one.fromMs >= untilMs && one.fromMs <= boundMs,
    );
    if (kind === "kill" || untilMs - fromMs <= terms.leaseMs || isHitAgain) return false;
    return (ends.get(nameOf(trace)) ?? Number.POSITIVE_INFINITY) > boundMs;
  });
}

/** What the hub's own faults add to what takes so long: as long as they take, and the way back to it. */
function hubAwayMs(faults: readonly Fault[], fromMs: number, untilMs: number): number {
  const aways = awaysOf(faults).map(
    (away) => Math.min(away.untilMs, untilMs) - Math.max(away.fromMs, fromMs),
  );
  return aways.reduce((sum, ms) => sum + Math.max(0, ms), 0);
}

/** When the hub was there for so long since then. */
function afterMs(faults: readonly Fault[], fromMs: number, ms: number): number {
  let endMs = fromMs + ms;
  for (const away of awaysOf(faults)) {
    if (away.fromMs < endMs) endMs += Math.max(0, away.untilMs - Math.max(away.fromMs, fromMs));
  }
  return endMs;
}

/** When the hub was not there for its satellites, in order. */
const awaysOf = (faults: readonly Fault[]) =>
  faults
    .filter(({ name }) => name === "hub")
    .map(({ kind, fromMs, untilMs }) => ({ fromMs, untilMs: untilMs + (kind === "kill" ? reconnectMs : 0) }))
    .sort((a, b) => a.fromMs - b.fromMs);

const isEnd = ({ what }: Trace): boolean => what === "settled" || what === "lost";

const nameOf = ({ offset, attempt }: Pick<Trace, "offset" | "attempt">): string => `${offset}/${attempt}`;

/** The hub's fact of how an attempt ended; the last where it has several. */
function endsOf(attempts: readonly Attempt[]): (offset: number, attempt: number) => Attempt | undefined {
  const ends = new Map(attempts.map((one) => [nameOf(one), one]));
  return (offset, attempt) => ends.get(nameOf({ offset, attempt }));
}

function* repeated(traces: readonly Trace[]): Iterable<Trace> {
  const seen = new Set<string>();
  for (const trace of traces) {
    if (seen.has(nameOf(trace))) yield trace;
    seen.add(nameOf(trace));
  }
}

function groupedBy<One, Key>(
  all: readonly One[],
  keyOf: (one: One) => Key,
): ReadonlyMap<Key, readonly One[]> {
  const groups = new Map<Key, One[]>();
  for (const one of all) {
    const group = groups.get(keyOf(one));
    if (group === undefined) groups.set(keyOf(one), [one]);
    else group.push(one);
  }
  return groups;
}
