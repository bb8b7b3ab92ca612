import { type Finding, finding } from "../finding.ts";
import type { Trace } from "./cast.ts";
import type { Attack } from "./latency.ts";
import { growthOf, type Sample } from "./memory.ts";
import type { AttackEvidence } from "./tally.ts";

/** The hub's process, as it was seen from outside. */
export interface HubEvidence {
  /** Why it ended before, or otherwise than, it was told to; undefined: it did not. */
  readonly end: string | undefined;
  /** What it has printed that is an error in its log, or nothing of its log. */
  readonly errors: readonly string[];
  readonly noise: readonly string[];
  readonly memory: readonly Sample[];
  /** What it has of connections when all have gone; undefined: nobody has looked. */
  readonly connections: number | undefined;
}

/** The log, as it was found when the hub had ended. */
export interface LogEvidence {
  /** Why it could not be read to its end; undefined: it could. */
  readonly fault: string | undefined;
  /** Retention has taken events up to here. */
  readonly takenThrough: number;
  /** Of all events. */
  readonly offsets: readonly number[];
  /** Events that the contract does not let their sources say. */
  readonly foreign: readonly unknown[];
  /** Of the bystander's: the serials, by their offsets. */
  readonly watched: ReadonlyMap<number, number>;
}

/** All that is left of a run. */
export interface FuzzEvidence {
  readonly attack: Attack;
  readonly hub: HubEvidence;
  readonly log: LogEvidence;
  /** What happened to the bystander. */
  readonly traces: readonly Trace[];
  readonly attackers: AttackEvidence;
}

/** Between its start and its end the bystander is nothing else. */
const goodStatuses = new Set(["connecting", "online", "closed"]);

/** Holds what was promised against what is left: a finding for each promise, in this order, with 0 where it was kept. Pure. */
export function checkFuzz({ hub, log, traces, attackers }: FuzzEvidence): readonly Finding[] {
  const growth = growthOf(hub.memory);
  return [
    finding("ends of the hub that nobody asked for", hub.end === undefined ? [] : [hub.end]),
    finding("errors in the hub's log", hub.errors),
    finding("lines of the hub that are not of its log", hub.noise),
    finding("memory that grew", growth === undefined || growth.isFlat ? [] : [growth]),
    {
      fault: "connections that have gone, and are not forgotten",
      count: hub.connections ?? 0,
      examples: [],
    },
    finding("refused to the bystander", only(traces, "refused")),
    finding("asked by the bystander, but not answered", missing(traces, "answered")),
    ...(["acked", "heard", "followed"] as const).flatMap((what) => [
      finding(`said by the bystander, but not ${what}`, missing(traces, what)),
      finding(`${what} by the bystander twice, or not in order`, [...disordered(traces, what)]),
    ]),
    finding("said in the bystander's room, or in its name, but not by it", only(traces, "foreign")),
    finding("gaps told to the bystander", only(traces, "gap")),
    finding(
      "connections of the bystander that were lost",
      only(traces, "status").filter(({ status }) => !goodStatuses.has(status)),
    ),
    finding("faults of the log, opened again", log.fault === undefined ? [] : [log.fault]),
    finding("out of order in the log", [...descending(log.offsets)]),
    finding("in the log, but not for its source to say", log.foreign),
    finding(
      "acked to the bystander, but not so in the log",
      only(traces, "acked").filter(
        ({ serial, offset }) => offset > log.takenThrough && log.watched.get(offset) !== serial,
      ),
    ),
    ...attackers.findings,
  ];
}

const only = <What extends Trace["what"]>(traces: readonly Trace[], what: What) =>
  traces.filter((trace): trace is Extract<Trace, { readonly what: What }> => trace.what === what);

function missing(
  traces: readonly Trace[],
  what: "answered" | "acked" | "heard" | "followed",
): readonly Trace[] {
  const there = new Set(only(traces, what).map(({ serial }) => serial));
  return only(traces, "said").filter(({ serial }) => !there.has(serial));
}

/** Those that come after a later one, or after themselves. */
function* disordered(traces: readonly Trace[], what: "acked" | "heard" | "followed"): Iterable<Trace> {
  let [serial, offset] = [0, 0];
  for (const trace of only(traces, what)) {
    if (trace.serial <= serial || trace.offset <= offset) yield trace;
    else [serial, offset] = [trace.serial, trace.offset];
  }
}

function* descending(offsets: readonly number[]): Iterable<number> {
  let before = 0;
  for (const offset of offsets) {
    if (offset <= before) yield offset;
    before = offset;
  }
}
