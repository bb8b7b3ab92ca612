/**
 * How far a history was told. It is told in two parts. First whole blocks of what came of the key's events, so many places of the
 * log each, as long as there is a whole one: `block` is where the one begins that is being told. Then, with `open`, what is behind
 * the last of them, and of what is not settled that up to `open`.
 */
export interface Place {
  /** Told is what is in the log up to there. */
  readonly offset: number;
  /** 0 before what is not settled; missing in the first part. */
  readonly open?: number;
  /**
   * Events up to there were told where the first attempt at them ended, if their own place was in an earlier block; what waits
   * since then for its first one has not been told.
   */
  readonly block: number;
}

export const start: Place = { offset: 0, block: 0 };

/** A `Place` as text: `"<offset>/<block>"`, then `"<offset>:<open>/<block>"`, which is `"<offset>:<open>"` where there was no whole block. */
export const placeText = /^(\d{1,15})(?::(\d{1,15}))?(?:\/(\d{1,15}))?$/;

export function placeFrom(text: string): Place {
  const [, offset, open, block] = placeText.exec(text) ?? [];
  const place = { offset: Number(offset), block: Number(block ?? 0) };
  return open === undefined && block !== undefined ? place : { ...place, open: Number(open ?? 0) };
}

export function textOf({ offset, open, block }: Place): string {
  if (open === undefined) return `${offset}/${block}`;
  return block === 0 ? `${offset}:${open}` : `${offset}:${open}/${block}`;
}
