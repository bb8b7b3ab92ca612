import type { DeadEvent, Outcome } from "@orrery/contracts";
import type { ClaimRecord, DeadRecord, HeldRecord, WaitingRecord } from "./claim-record.ts";

/** What the members of a group agree on. */
export interface ClaimRules {
  /** Hand-overs of one event before it is dead. */
  readonly attempts: number;
  /** Before the second attempt, twice as long before each further one. Milliseconds. */
  readonly backoffMs: number;
  /** How long after its connection is gone a satellite keeps its claims. Milliseconds. */
  readonly graceMs: number;
  /** Events that wait before no more are looked at. Default 10_000. */
  readonly mostWaiting?: number;
  /** Events of one key that wait or are held before further ones of it are passed over, for now. Default 1_000. */
  readonly mostOfKey?: number;
  /** Keys of which events were passed over before no more of the log is looked at. Default 100. */
  readonly mostBehind?: number;
  /** The same of their characters together. Default 10_000. */
  readonly mostBehindLength?: number;
  /** Dead events before no more are looked at: somebody has to redrive or drop some first. Default 100_000. */
  readonly mostDead?: number;
  /** Those of all groups that count together. Default: there is no other group, and no bound. */
  readonly together?: Together;
}

/** How many claims there are, waiting, held and dead, over several groups, and how many before no more events are looked at. */
export interface Together {
  count: number;
  readonly most: number;
  /** Where all that are counted by have a bound, too. */
  readonly all?: AllTogether;
}

/** The same over all. */
export interface AllTogether {
  count: number;
  readonly most: number;
  /** How many share it: who has more than an equal part looks at no more where there are too many over all. */
  parts: number;
}

/** Whether no more are to come. */
export const areTooMany = ({ count, most, all }: Together): boolean =>
  count >= most || (all !== undefined && all.count >= all.most && count >= all.most / all.parts);

/** Whether some group may wait for one of them to end. */
export const areWaitedFor = ({ count, most, all }: Together): boolean =>
  count >= most || (all !== undefined && all.count >= all.most);

/** How an attempt, or a dead event, ended, and what comes of it. */
export interface Change {
  readonly offset: number;
  readonly event: string;
  readonly key?: string | undefined;
  readonly attempt: number;
  /** Who has it, or had it last: `driver:d1`. */
  readonly by: string;
  /** Its connection, where it is there. */
  readonly member?: string;
  readonly outcome: Outcome | "expired" | "gone" | "redriven" | "dropped";
  readonly error?: string | undefined;
  /** What takes the place of the record of its offset; null: nothing, it is settled. */
  readonly record: ClaimRecord | null;
}

/** The longest wait for another attempt, before chance. Milliseconds. */
const mostBackoffMs = 60_000;
/** The longest text of an error that is kept. */
const errorLength = 1_000;

/** What a member says comes of its claim. `chance`: 0 to 1. */
export function settled(
  held: HeldRecord,
  outcome: Outcome,
  said: string | undefined,
  rules: ClaimRules,
  chance: number,
  nowMs: number,
): Change {
  const error = said?.slice(0, errorLength);
  switch (outcome) {
    case "done":
      return changeOf(held, outcome, null);
    case "retry":
      return changeOf(held, outcome, failed(held, error, rules, chance, nowMs), error);
    case "dead":
      return changeOf(held, outcome, deadOf(held, "refused", error, nowMs), error);
    case "back": {
      const backBy = [...(held.backBy ?? []), held.by].sort();
      const dueMs = nowMs + rules.backoffMs;
      return changeOf(held, outcome, waitingOf(held, held.attempt - 1, dueMs, backBy), error);
    }
  }
}

/** What comes of a claim whose time is over: an attempt like any other. */
export function over(held: HeldRecord, rules: ClaimRules, chance: number, nowMs: number): Change {
  const isLeaseOver = held.untilMs <= nowMs;
  const error = isLeaseOver ? "The lease ran out." : "The connection was lost.";
  return changeOf(held, isLeaseOver ? "expired" : "gone", failed(held, error, rules, chance, nowMs), error);
}

/** A dead event gets a new life. */
export function redriven(dead: DeadRecord): Change {
  return changeOf(dead, "redriven", waitingOf(dead, 0, 0));
}

/** A dead event is forgotten. */
export const dropped = (dead: DeadRecord): Change => changeOf(dead, "dropped", null);

function failed(
  held: HeldRecord,
  error: string | undefined,
  { attempts, backoffMs }: ClaimRules,
  chance: number,
  nowMs: number,
): ClaimRecord {
  const { attempt } = held;
  if (attempt >= attempts) return deadOf(held, "attempts", error, nowMs);
  const mostMs = Math.min(backoffMs * 2 ** (attempt - 1), mostBackoffMs);
  return waitingOf(held, attempt, nowMs + Math.round(mostMs * (0.5 + chance)));
}

const waitingOf = (
  { offset, event, key }: HeldRecord | DeadRecord,
  attempt: number,
  dueMs: number,
  backBy?: readonly string[],
): WaitingRecord => ({ offset, event, key, attempt, backBy, state: "waiting", dueMs });

const deadOf = (
  { offset, event, key, attempt, by }: HeldRecord,
  reason: DeadEvent["reason"],
  error: string | undefined,
  timeMs: number,
): DeadRecord => ({ offset, event, key, attempt, state: "dead", reason, error: error ?? "", by, timeMs });

const changeOf = (
  { offset, event, key, attempt, by }: HeldRecord | DeadRecord,
  outcome: Change["outcome"],
  record: ClaimRecord | null,
  error?: string,
): Change => ({ offset, event, key, attempt, by, outcome, error, record });
