import type { ClaimRecord } from "./claim-record.ts";

/** How far the position on disk may be behind for want of anything else to write. Places of the log. */
const unsavedPlaces = 1_000;

/** What of a group's claims is not on disk as it is in memory. */
export class Unsaved<E extends { readonly record: ClaimRecord }> {
  /** That on disk. */
  #position: number;
  /** Those behind it that nothing has happened to, in their order. They would be looked at again. */
  readonly #looked: E[] = [];
  readonly #changed = new Set<E>();

  constructor(position: number) {
    this.#position = position;
  }

  look(entry: E): void {
    this.#looked.push(entry);
  }

  change(entry: E): void {
    this.#changed.add(entry);
  }

  /** It is on disk, or need not be. */
  forget(entry: E): void {
    this.#changed.delete(entry);
  }

  /**
   * What goes to disk beside those `given`, and the position that goes with it: no further than it must, so that most entries
   * are written once, when they are handed over. Undefined: nothing has to. `position`: all up to there was looked at.
   */
  take(
    given: readonly E[],
    position: number,
    isWritable: (entry: E) => boolean,
  ): { readonly position: number; readonly entries: readonly E[] } | undefined {
    const upTo = given.reduce((most, { record }) => Math.max(most, record.offset), this.#position);
    const behind = this.#looked.findIndex(({ record }) => record.offset > upTo);
    const [count, reached] =
      behind < 0 ? [this.#looked.length, position] : [behind, (this.#looked[behind] as E).record.offset - 1];
    for (const entry of this.#looked.splice(0, count)) this.#changed.add(entry);
    for (const entry of given) this.#changed.delete(entry);
    const entries = [...this.#changed].filter(isWritable);
    const isFarBehind = reached - this.#position >= unsavedPlaces;
    if (given.length === 0 && entries.length === 0 && !isFarBehind) return undefined;
    for (const entry of entries) this.#changed.delete(entry);
    return { position: reached, entries };
  }

  /** That position is on disk. */
  saved(position: number): void {
    this.#position = position;
  }
}
