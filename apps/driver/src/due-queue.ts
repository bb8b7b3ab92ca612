interface Entry<Item> {
  readonly dueMs: number;
  /** Counts additions, so that what is due at the same time comes in the order of its addition. */
  readonly place: number;
  readonly item: Item;
}

/** What is to be done at some time, the earliest first: a binary heap, so that 100_000 items need no more than one timer. */
export class DueQueue<Item> {
  #heap: Entry<Item>[] = [];
  #places = 0;

  /** When the first item is due; undefined in an empty queue. */
  get nextMs(): number | undefined {
    return this.#heap[0]?.dueMs;
  }

  add(dueMs: number, item: Item): void {
    const entry = { dueMs, place: this.#places++, item };
    let at = this.#heap.length;
    for (let parent = (at - 1) >> 1; at > 0 && isBefore(entry, this.#at(parent)); parent = (at - 1) >> 1) {
      this.#heap[at] = this.#at(parent);
      at = parent;
    }
    this.#heap[at] = entry;
  }

  /** Takes the first item out, where it is due at `nowMs`. */
  takeDue(nowMs: number): Item | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueMs > nowMs) return undefined;
    const last = this.#heap.pop();
    if (last !== undefined && last !== first) this.#sink(last);
    return first.item;
  }

  clear(): void {
    this.#heap = [];
  }

  /** Puts the entry in at the top and moves it down to its place. */
  #sink(entry: Entry<Item>): void {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#heap.length) break;
      if (child + 1 < this.#heap.length && isBefore(this.#at(child + 1), this.#at(child))) child += 1;
      if (isBefore(entry, this.#at(child))) break;
      this.#heap[at] = this.#at(child);
      at = child;
    }
    this.#heap[at] = entry;
  }

  #at(place: number): Entry<Item> {
    return this.#heap[place] as Entry<Item>;
  }
}

const isBefore = (a: Entry<unknown>, b: Entry<unknown>): boolean =>
  a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.place < b.place);
