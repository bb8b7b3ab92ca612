import type { Cursor } from "@orrery/contracts";

export const cursorOf = (epoch: string, offset: number): Cursor => `${epoch}:${offset}`;

/**
 * Where reading after a cursor begins in the log of this epoch: at its offset, or, where it is of another log, at the start,
 * with the cursor as `gap`. Undefined where it is beyond the newest event, or no cursor at all.
 */
export function startAfter(
  cursor: Cursor,
  logEpoch: string,
  head: number,
): { readonly offset: number; readonly gap?: Cursor } | undefined {
  const [, epoch, digits] = /^([^:]+):(\d{1,15})$/.exec(cursor) ?? [];
  if (epoch === undefined) return undefined;
  if (epoch !== logEpoch) return { offset: 0, gap: cursor };
  return Number(digits) <= head ? { offset: Number(digits) } : undefined;
}
