import type { Heard } from "./heard.ts";

/**
 * The newest kept events, in memory. A satellite that catches up reads pages from the disk until what it lacks is in
 * here; the rest it gets, and joins its audience, in one turn, however fast the log grows.
 */
export class Tail {
  /** Everything after this offset is here. */
  start: number;
  /** When the newest came, on a clock that is never set back. Milliseconds. */
  grownMs = Number.NEGATIVE_INFINITY;
  readonly #limitBytes: number;
  readonly #events: Heard[] = [];
  #bytes = 0;

  constructor(head: number, limitBytes: number) {
    this.start = head;
    this.#limitBytes = limitBytes;
  }

  push(events: readonly Heard[]): void {
    const before = this.#events.length;
    for (const event of events) {
      if (event.offset === null) continue;
      this.#events.push(event);
      this.#bytes += event.text.length;
    }
    if (this.#events.length > before) this.grownMs = performance.now();
    let dropped = 0;
    while (this.#bytes > this.#limitBytes) {
      const oldest = this.#events[dropped] as Heard & { offset: number };
      this.#bytes -= oldest.text.length;
      this.start = oldest.offset;
      dropped += 1;
    }
    if (dropped > 0) this.#events.splice(0, dropped);
  }

  after(offset: number): readonly Heard[] {
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle]?.offset ?? 0) > offset) high = middle;
      else low = middle + 1;
    }
    return this.#events.slice(low);
  }
}
