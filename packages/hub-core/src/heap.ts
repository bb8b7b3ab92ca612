/** Items of which the first one, by `compare`, is always at hand. Every change costs the logarithm of how many there are. */
export class Heap<T> {
  readonly #compare: (a: T, b: T) => number;
  readonly #items: T[] = [];
  readonly #places = new Map<T, number>();

  /** `compare`: below zero where `a` comes first; never zero for two different items, or their order is left to chance. */
  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  /** Puts the item in, or, where what it is compared by has changed, in its new place. */
  put(item: T): void {
    const place = this.#places.get(item) ?? this.#items.length;
    this.#rise(item, place);
    this.#sink(item, this.#places.get(item) as number);
  }

  /** False where it was not in. */
  remove(item: T): boolean {
    const place = this.#places.get(item);
    if (place === undefined) return false;
    this.#places.delete(item);
    const last = this.#items.pop() as T;
    if (last !== item) {
      this.#set(last, place);
      this.put(last);
    }
    return true;
  }

  /** In no order. */
  [Symbol.iterator](): Iterator<T> {
    return this.#items.values();
  }

  #rise(item: T, from: number): void {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#items[above] as T;
      if (this.#compare(parent, item) <= 0) break;
      this.#set(parent, place);
      place = above;
    }
    this.#set(item, place);
  }

  #sink(item: T, from: number): void {
    let place = from;
    for (;;) {
      const left = 2 * place + 1;
      if (left >= this.#items.length) break;
      const isRightFirst =
        left + 1 < this.#items.length &&
        this.#compare(this.#items[left + 1] as T, this.#items[left] as T) < 0;
      const below = isRightFirst ? left + 1 : left;
      const child = this.#items[below] as T;
      if (this.#compare(item, child) <= 0) break;
      this.#set(child, place);
      place = below;
    }
    this.#set(item, place);
  }

  #set(item: T, place: number): void {
    this.#items[place] = item;
    this.#places.set(item, place);
  }
}
