import { OrreryError } from "@orrery/contracts";
import { z } from "zod";

const common = {
  /** Of the event. */
  offset: z.int().positive(),
  /** The event's name. */
  event: z.string().min(1),
  /** What order is kept for; missing: nothing. */
  key: z.string().optional(),
  /** Hand-overs so far; those that were given back do not count. */
  attempt: z.int().nonnegative(),
  /** Satellites that gave it back, and get it again only when nobody else will have it. */
  backBy: z.array(z.string()).readonly().optional(),
};

const Waiting = z.strictObject({ ...common, state: z.literal("waiting"), dueMs: z.number().nonnegative() });
const Held = z.strictObject({
  ...common,
  state: z.literal("held"),
  token: z.int().positive(),
  by: z.string().min(1),
  untilMs: z.number(),
});
const Dead = z.strictObject({
  ...common,
  state: z.literal("dead"),
  reason: z.enum(["attempts", "refused"]),
  error: z.string(),
  by: z.string(),
  timeMs: z.number(),
});
const Record = z.discriminatedUnion("state", [Waiting, Held, Dead]);

/** Waits for its turn: for its key, for a member with room, and until `dueMs`; 0: from the start. */
export type WaitingRecord = Readonly<z.infer<typeof Waiting>>;
/** Held by the satellite `by` (`driver:d1`) under the token, until the lease is over. */
export type HeldRecord = Readonly<z.infer<typeof Held>>;
/** Given up: after too many attempts, or because a handler said so. `error`: what ended the last attempt, of `by`. */
export type DeadRecord = Readonly<z.infer<typeof Dead>>;
/**
 * What is kept of an event that a group has looked at and that is not settled. Made by literals that name each property:
 * with spreads, 33,000 hand-overs and settles a second were 200,000.
 */
export type ClaimRecord = WaitingRecord | HeldRecord | DeadRecord;

export const claimText = (record: ClaimRecord): string => JSON.stringify(record);

/** From a text of `claimText`. Fails with `LOG_FAILED` for anything else. */
export function claimFrom(text: string): ClaimRecord {
  try {
    return Record.parse(JSON.parse(text));
  } catch (cause) {
    throw new OrreryError("LOG_FAILED", { detail: `No record of a claim: ${text.slice(0, 200)}`, cause });
  }
}
