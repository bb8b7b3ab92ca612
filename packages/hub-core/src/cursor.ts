import type { Cursor } from "@orrery/contracts";

export const cursorOf = (epoch: string, offset: number): Cursor => `${epoch}:${offset}`;

/** The two parts of a cursor; undefined where it is none. */
export function partsOf(cursor: Cursor): { readonly epoch: string; readonly offset: number } | undefined {
  const [, epoch, digits] = /^([^:]+):(\d{1,15})$/.exec(cursor) ?? [];
  return epoch === undefined ? undefined : { epoch, offset: Number(digits) };
}

/** The offset of a cursor of this log; undefined where it is of another one, beyond the newest event, or none at all. */
export function offsetIn(cursor: Cursor, epoch: string, head: number): number | undefined {
  const parts = partsOf(cursor);
  return parts !== undefined && parts.epoch === epoch && parts.offset <= head ? parts.offset : undefined;
}
