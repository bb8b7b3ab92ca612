import type { Accepted } from "@orrery/contracts";

/** An event that has no receipt yet. */
export interface OutboxEntry {
  /** `["pickup",<data>,{"id":"…"}]`, as it stands in `hub:emit`. */
  readonly text: string;
  readonly bytes: number;
  readonly resolve: (receipt: Accepted) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Events that were emitted and have no receipt yet, in the order of their emission. A lost connection makes all of them
 * unsent again: the hub knows by the id what it has already.
 */
export class Outbox {
  readonly #waiting = new Set<OutboxEntry>();
  #unsent: OutboxEntry[] = [];

  get size(): number {
    return this.#waiting.size;
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  add(entry: OutboxEntry): void {
    this.#waiting.add(entry);
    this.#unsent.push(entry);
  }

  /** The next entries to send together: at most `events`, and together at most `bytes`, but one at least. */
  take(events: number, bytes: number): readonly OutboxEntry[] {
    const taken: OutboxEntry[] = [];
    let total = 0;
    let looked = 0;
    for (const entry of this.#unsent) {
      total += entry.bytes;
      if (taken.length === events || (taken.length > 0 && total > bytes)) break;
      looked += 1;
      if (this.#waiting.has(entry)) taken.push(entry);
    }
    this.#unsent.splice(0, looked);
    return taken;
  }

  /** Unsent again, in their old places. */
  putBack(entries: readonly OutboxEntry[]): void {
    const unsent = new Set([...this.#unsent, ...entries]);
    this.#unsent = [...this.#waiting].filter((entry) => unsent.has(entry));
  }

  unsendAll(): void {
    this.#unsent = [...this.#waiting];
  }

  settle(entry: OutboxEntry, receipt: Accepted): void {
    if (this.#waiting.delete(entry)) entry.resolve(receipt);
  }

  drop(entry: OutboxEntry, error: unknown): void {
    if (this.#waiting.delete(entry)) entry.reject(error);
  }

  dropAll(error: unknown): void {
    for (const entry of this.#waiting) this.drop(entry, error);
  }
}
