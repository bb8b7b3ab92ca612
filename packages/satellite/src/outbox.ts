import type { Accepted } from "@orrery/contracts";
import type { OutboxStore } from "./outbox-store.ts";

/** An event that has no receipt yet. */
export interface OutboxEntry {
  readonly id: string;
  /** `["pickup",<data>,{"id":"…"}]`, as it stands in `hub:emit`. */
  readonly text: string;
  readonly bytes: number;
  readonly resolve: (receipt: Accepted) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Events that were emitted and have no receipt yet, in the order of their emission. A lost connection makes all of them
 * unsent again: the hub knows by the id what it has already. With a store they outlive the process.
 */
export class Outbox {
  readonly #store: OutboxStore | undefined;
  readonly #waiting = new Set<OutboxEntry>();
  #unsent: OutboxEntry[] = [];
  #unstored: OutboxEntry[] = [];
  #removed: string[] = [];

  constructor(store?: OutboxStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#waiting.size;
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  /** Puts what an earlier process has left in front of all others. */
  restore(entries: readonly OutboxEntry[]): void {
    const emitted = [...this.#waiting];
    this.#waiting.clear();
    for (const entry of [...entries, ...emitted]) this.#waiting.add(entry);
    this.#unsent = [...this.#waiting];
  }

  add(entry: OutboxEntry): void {
    this.#waiting.add(entry);
    this.#unsent.push(entry);
    if (this.#store !== undefined) this.#unstored.push(entry);
  }

  /** Brings the store up to date; undefined where there is nothing to do. What was added is kept before it is sent. */
  store(): Promise<unknown> | undefined {
    const entries = this.#unstored.splice(0).filter((entry) => this.#waiting.has(entry));
    const removed = this.#removed.splice(0);
    if (this.#store === undefined || (entries.length === 0 && removed.length === 0)) return undefined;
    const steps = [];
    if (entries.length > 0) steps.push(this.#store.put(entries.map(({ id, text }) => ({ id, text }))));
    if (removed.length > 0) steps.push(this.#store.remove(removed));
    return Promise.all(steps);
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
    if (this.#leave(entry)) entry.resolve(receipt);
  }

  drop(entry: OutboxEntry, error: unknown): void {
    if (this.#leave(entry)) entry.reject(error);
  }

  /** Rejects all that wait; a store keeps them for the next process. */
  end(error: unknown): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const entry of waiting) entry.reject(error);
  }

  #leave(entry: OutboxEntry): boolean {
    if (!this.#waiting.delete(entry)) return false;
    if (this.#store !== undefined) this.#removed.push(entry.id);
    return true;
  }
}
