import type { ClaimRecord, WaitingRecord } from "./claim-record.ts";
import { Heap } from "./heap.ts";

/** The entries of one key. One without a key is in a line of its own. */
interface Line<E> {
  /** Those that wait or are held, in the order of their offsets. */
  readonly entries: E[];
  /** Offsets of those that are dead, ascending. */
  readonly dead: number[];
  /** Nothing of the line is next while it is above zero. */
  blocks: number;
  /** The one that is next of the line. */
  next: E | undefined;
}

/** Nearest dead events of its key that are named with a claim: one key with thousands would fill every message. */
const mostDeadBefore = 100;

/** Who is next: of every key the entry with the lowest offset, when it is due and nothing of the key is held. */
export class ClaimQueue<E extends { readonly record: ClaimRecord }> {
  readonly #lines = new Map<string | number, Line<E>>();
  /** Those that are next and due. */
  readonly #ready = new Heap<E>(byOffset);
  /** Those that are next when they are due. */
  readonly #due = new Heap<E>((a, b) => dueMsOf(a) - dueMsOf(b) || byOffset(a, b));
  /** Of these, those that others may have before, by who may not. */
  readonly #offered = new Map<string, Heap<E>>();

  /** How many anybody may have now. */
  get ready(): number {
    return this.#ready.size;
  }

  /** When the next one is due; undefined: none waits for that. */
  get dueMs(): number | undefined {
    const { first } = this.#due;
    return first && dueMsOf(first);
  }

  /** It waits or is held from now on. */
  insert(entry: E): void {
    const line = this.#lineOf(entry);
    const place = placeOf(line.entries, ({ record }) => record.offset, entry.record.offset);
    line.entries.splice(place, 0, entry);
    this.#arrange(line, entry);
  }

  /** It is settled or dead. */
  remove(entry: E): void {
    const line = this.#lineOf(entry);
    line.entries.splice(line.entries.indexOf(entry), 1);
    this.#arrange(line, entry);
  }

  /** It is held, or on its way into another state: nothing of its key is next until it is unblocked as often. */
  block(entry: E): void {
    const line = this.#lineOf(entry);
    line.blocks += 1;
    this.#arrange(line, entry);
  }

  /** When its own record says what it is from now on. */
  unblock(entry: E): void {
    const line = this.#lineOf(entry);
    line.blocks -= 1;
    this.#arrange(line, entry);
  }

  bury({ record }: E): void {
    const { dead } = this.#lineOf({ record });
    dead.splice(
      placeOf(dead, (offset) => offset, record.offset),
      0,
      record.offset,
    );
  }

  unbury(entry: E): void {
    const { dead } = this.#lineOf(entry);
    dead.splice(dead.indexOf(entry.record.offset), 1);
  }

  /** Offsets of its key's dead ones before it, of many the nearest. */
  deadBefore(entry: E): readonly number[] {
    const { dead } = this.#lineOf(entry);
    const end = placeOf(dead, (offset) => offset, entry.record.offset);
    return dead.slice(Math.max(0, end - mostDeadBefore), end);
  }

  /** Those of a key that wait or are held, in order, and the offsets of those that are dead. */
  ofKey(key: string): { readonly entries: readonly E[]; readonly dead: readonly number[] } {
    return this.#lines.get(key) ?? { entries: [], dead: [] };
  }

  /** How many of a key wait or are held. */
  sizeOf(key: string): number {
    return this.#lines.get(key)?.entries.length ?? 0;
  }

  /** It is that late. */
  passTime(nowMs: number): void {
    for (let { first } = this.#due; first && dueMsOf(first) <= nowMs; { first } = this.#due) {
      this.#unqueue(first);
      this.#ready.put(first);
    }
  }

  /**
   * The lowest offset that `memberFor` finds somebody for. One that is not due yet was given back, and is for others than
   * those who did. For entries that the same satellites gave back it has to answer alike.
   */
  next<M>(
    memberFor: (entry: E, isDue: boolean) => M | undefined,
  ): { readonly entry: E; readonly member: M } | undefined {
    let found: { readonly entry: E; readonly member: M } | undefined;
    for (const entries of [this.#ready, ...this.#offered.values()]) {
      const entry = entries.first;
      if (entry === undefined || (found && byOffset(found.entry, entry) < 0)) continue;
      const member = memberFor(entry, entries === this.#ready);
      if (member !== undefined) found = { entry, member };
    }
    return found;
  }

  #lineOf({ record }: Pick<E, "record">): Line<E> {
    const name = record.key ?? record.offset;
    const known = this.#lines.get(name);
    if (known !== undefined) return known;
    const line: Line<E> = { entries: [], dead: [], blocks: 0, next: undefined };
    this.#lines.set(name, line);
    return line;
  }

  /** `entry`: one of the line. */
  #arrange(line: Line<E>, { record }: E): void {
    const next = line.blocks === 0 ? line.entries[0] : undefined;
    if (next !== line.next) {
      if (line.next !== undefined) this.#unqueue(line.next);
      if (next !== undefined) this.#queue(next);
      line.next = next;
    }
    const isEmpty = line.entries.length === 0 && line.dead.length === 0 && line.blocks === 0;
    if (isEmpty) this.#lines.delete(record.key ?? record.offset);
  }

  #queue(entry: E): void {
    if (dueMsOf(entry) === 0) return this.#ready.put(entry);
    this.#due.put(entry);
    const { backBy } = entry.record;
    if (backBy === undefined) return;
    const name = JSON.stringify(backBy);
    const offered = this.#offered.get(name) ?? new Heap<E>(byOffset);
    this.#offered.set(name, offered);
    offered.put(entry);
  }

  #unqueue(entry: E): void {
    if (this.#ready.remove(entry)) return;
    this.#due.remove(entry);
    const { backBy } = entry.record;
    if (backBy === undefined) return;
    const name = JSON.stringify(backBy);
    const offered = this.#offered.get(name);
    offered?.remove(entry);
    if (offered?.size === 0) this.#offered.delete(name);
  }
}

const byOffset = (a: { readonly record: ClaimRecord }, b: { readonly record: ClaimRecord }): number =>
  a.record.offset - b.record.offset;

/** Of one that waits. */
const dueMsOf = ({ record }: { readonly record: ClaimRecord }): number => (record as WaitingRecord).dueMs;

/** Where an offset belongs among ascending ones. */
function placeOf<T>(items: readonly T[], offsetOf: (item: T) => number, offset: number): number {
  const last = items.at(-1);
  if (last === undefined || offsetOf(last) < offset) return items.length; // as ever, but for what is redriven
  let [low, high] = [0, items.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offsetOf(items[middle] as T) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
