import type { Cursor } from "@orrery/contracts";
import type { EventLog } from "@orrery/event-log";
import { z } from "zod";
import type { Publisher } from "./publish.ts";

export const cursorOf = (epoch: string, offset: number): Cursor => `${epoch}:${offset}`;

/** Where reading begins; `gap`: the cursor that was given, where it is of another log. */
export interface Start {
  readonly offset: number;
  readonly gap?: Cursor;
}

/**
 * Where reading after a cursor begins in the log of this epoch: at its offset, or, where it is of another log, at the start,
 * with the cursor as `gap`. Undefined where it is beyond the newest event, or no cursor at all.
 */
export function startAfter(cursor: string, logEpoch: string, head: number): Start | undefined {
  const [, epoch, digits] = /^([^:]+):(\d{1,15})$/.exec(cursor) ?? [];
  if (epoch === undefined) return undefined;
  if (epoch !== logEpoch) return { offset: 0, gap: cursor as Cursor };
  return Number(digits) <= head ? { offset: Number(digits) } : undefined;
}

/** `from` of a `hub:follow` or `hub:work`: `start`, `now`, a cursor, or a time. */
export const From = z.union([z.string().max(200), z.strictObject({ time: z.iso.datetime() })]).default("now");

/** Where a new follower or group begins; undefined as for `startAfter`. */
export async function startFrom(
  from: z.infer<typeof From>,
  log: EventLog,
  publisher: Publisher,
): Promise<Start | undefined> {
  if (from === "now") return { offset: publisher.head };
  if (from === "start") return { offset: 0 };
  if (typeof from === "string") return startAfter(from, log.epoch, publisher.head);
  const before = await log.offsetBefore(Date.parse(from.time));
  return { offset: Math.min(before, publisher.head) };
}
