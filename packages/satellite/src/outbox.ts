import type { Accepted } from "@orrery/contracts";
import type { OutboxStore } from "./outbox-store.ts";

/** An event that has no receipt yet, or a settle that has no answer yet. */
export interface OutboxEntry<Answer = Accepted> {
  /** The event's id, where the store keeps it; missing: it is not kept beyond the end of the process. */
  readonly storeId?: string | undefined;
  /** As it stands in the message: `["pickup",<data>,{"id":"…"}]` in `hub:emit`. */
  readonly text: string;
  readonly bytes: number;
  /** How much of the hub's `batchEvents` it takes. */
  readonly events: number;
  /** Whether it may go out by now; missing: it may. Others pass it meanwhile. */
  readonly mayGo?: (() => boolean) | undefined;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
  /** Called before either of these. */
  onLeave?: () => void;
}

/**
 * What was said and has no answer yet, in the order in which it was said. A lost connection makes all of it unsent again:
 * the hub knows by an event's id, or a claim's token, what it has already. With a store events outlive the process.
 */
export class Outbox<Answer = Accepted> {
  readonly #store: OutboxStore | undefined;
  readonly #waiting = new Set<OutboxEntry<Answer>>();
  #unsent: OutboxEntry<Answer>[] = [];
  #unstored: OutboxEntry<Answer>[] = [];
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
  restore(entries: readonly OutboxEntry<Answer>[]): void {
    const emitted = [...this.#waiting];
    this.#waiting.clear();
    for (const entry of [...entries, ...emitted]) this.#waiting.add(entry);
    this.#unsent = [...this.#waiting];
  }

  add(entry: OutboxEntry<Answer>): void {
    this.#waiting.add(entry);
    this.#unsent.push(entry);
    if (this.#isStored(entry)) this.#unstored.push(entry);
  }

  /** Brings the store up to date; undefined where there is nothing to do. What was added is kept before it is sent. */
  store(): Promise<unknown> | undefined {
    const entries = this.#unstored.splice(0).filter((entry) => this.#waiting.has(entry));
    const removed = this.#removed.splice(0);
    if (this.#store === undefined || (entries.length === 0 && removed.length === 0)) return undefined;
    const steps = [];
    if (entries.length > 0) {
      steps.push(this.#store.put(entries.map(({ storeId = "", text }) => ({ id: storeId, text }))));
    }
    if (removed.length > 0) steps.push(this.#store.remove(removed));
    return Promise.all(steps);
  }

  /** The next entries to send together: of at most `events` and `bytes` together, but one at least where one may go. */
  take(events: number, bytes: number): readonly OutboxEntry<Answer>[] {
    const taken: OutboxEntry<Answer>[] = [];
    const heldBack: OutboxEntry<Answer>[] = [];
    let totalEvents = 0;
    let totalBytes = 0;
    let looked = 0;
    for (const entry of this.#unsent) {
      if (entry.mayGo?.() === false) {
        looked += 1;
        if (this.#waiting.has(entry)) heldBack.push(entry);
        continue;
      }
      totalEvents += entry.events;
      totalBytes += entry.bytes;
      if (taken.length > 0 && (totalEvents > events || totalBytes > bytes)) break;
      looked += 1;
      if (this.#waiting.has(entry)) taken.push(entry);
    }
    this.#unsent.splice(0, looked, ...heldBack);
    return taken;
  }

  /** Unsent again, in their old places. */
  putBack(entries: readonly OutboxEntry<Answer>[]): void {
    const unsent = new Set([...this.#unsent, ...entries]);
    this.#unsent = [...this.#waiting].filter((entry) => unsent.has(entry));
  }

  unsendAll(): void {
    this.#unsent = [...this.#waiting];
  }

  settle(entry: OutboxEntry<Answer>, answer: Answer): void {
    if (this.#leave(entry)) entry.resolve(answer);
  }

  drop(entry: OutboxEntry<Answer>, error: unknown): void {
    if (this.#leave(entry)) entry.reject(error);
  }

  /** Rejects all that wait; a store keeps them for the next process. */
  end(error: unknown): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const entry of waiting) {
      entry.onLeave?.();
      entry.reject(error);
    }
  }

  #leave(entry: OutboxEntry<Answer>): boolean {
    if (!this.#waiting.delete(entry)) return false;
    if (this.#isStored(entry)) this.#removed.push(entry.storeId);
    entry.onLeave?.();
    return true;
  }

  #isStored(entry: OutboxEntry<Answer>): entry is OutboxEntry<Answer> & { readonly storeId: string } {
    return this.#store !== undefined && entry.storeId !== undefined;
  }
}
