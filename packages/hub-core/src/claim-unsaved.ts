import type { ClaimRecord } from "./claim-record.ts";

/** How far the position on disk may be behind for want of anything else to write. Places of the log. */
const unsavedPlaces = 1_000;

/** What of a group's claims is not on disk as it is in memory. */
export class Unsaved<E extends { readonly record: ClaimRecord }> {
  /** That on disk. */
  #position: number;
  /** Those behind it that nothing has happened to, in their order. They would be looked at again. */
  #looked: E[] = [];
  /** So many of them were taken. */
  #taken = 0;
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
   * What goes to disk beside those `given`, and the position that goes with it: not below any that is written, since what is
   * above it is looked at again, and no further than it must, so that most entries are written once, when they are handed over.
   * Undefined: nothing has to. `position`: all up to there was looked at.
   */
  take(
    given: readonly E[],
    position: number,
    isWritable: (entry: E) => boolean,
  ): { readonly position: number; readonly entries: readonly E[] } | undefined {
    let upTo = this.#position;
    for (const { record } of [...given, ...this.#changed]) upTo = Math.max(upTo, record.offset);
    for (
      let next = this.#looked[this.#taken];
      next && next.record.offset <= upTo;
      next = this.#looked[this.#taken]
    ) {
      this.#changed.add(next);
      this.#taken += 1;
    }
    const behind = this.#looked[this.#taken];
    const reached = behind === undefined ? position : behind.record.offset - 1;
    if (this.#taken * 2 > this.#looked.length) {
      this.#looked = this.#looked.slice(this.#taken);
      this.#taken = 0;
    }
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
