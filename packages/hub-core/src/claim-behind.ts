/** A key, and the offset from which on its events were not looked at. */
export type LeftBehind = readonly [key: string, offset: number];

/** An event that was read again. */
interface Again {
  readonly offset: number;
  readonly key?: string | undefined;
}

/**
 * The keys of a group of which too many events waited. What came of such a key from then on was passed over, all of it, since it
 * is worked on in order; it is looked at when the log is read again. No offset of theirs is above the group's position.
 */
export class Behind {
  readonly #from: Map<string, number>;
  #length: number;

  constructor(kept: Iterable<LeftBehind> = []) {
    this.#from = new Map(kept);
    this.#length = [...this.#from.keys()].reduce((sum, { length }) => sum + length, 0);
  }

  /** How many keys. */
  get size(): number {
    return this.#from.size;
  }

  /** Characters of them all. */
  get length(): number {
    return this.#length;
  }

  has(key: string): boolean {
    return this.#from.has(key);
  }

  /** The lowest offset of such keys as these; undefined: there is none. */
  first(isMeant: (key: string) => boolean): number | undefined {
    let first: number | undefined;
    for (const [key, from] of this.#from)
      if ((first === undefined || from < first) && isMeant(key)) first = from;
    return first;
  }

  /** From that event on it is passed over; where it is behind already, it stays where it is. */
  begin(key: string, offset: number): void {
    if (this.#from.has(key)) return;
    this.#from.set(key, offset);
    this.#length += key.length;
  }

  /**
   * The log was read again, behind `after` and up to `through`: `look` is told of what was passed over, of each key until it says
   * no. Keys that are behind since before `after` stay where they are: something else of theirs comes first. One that has come up
   * to the position is behind no more.
   */
  readAgain<E extends Again>(
    after: number,
    through: number,
    position: number,
    events: readonly E[],
    look: (event: E, key: string) => boolean,
  ): void {
    const reading = new Map([...this.#from].filter(([, from]) => from > after && from <= through));
    for (const event of events) {
      const { offset, key } = event;
      const from = key === undefined ? undefined : reading.get(key);
      if (key === undefined || from === undefined || offset < from || offset > position) continue;
      if (look(event, key)) continue;
      this.#from.set(key, offset);
      reading.delete(key);
    }
    for (const key of reading.keys()) {
      if (through < position) this.#from.set(key, through + 1);
      else this.#end(key);
    }
  }

  /** What belongs to that position on disk, which may be lower than the group's: all above it is looked at anyway. */
  upTo(position: number): readonly LeftBehind[] {
    return [...this.#from].filter(([, from]) => from <= position);
  }

  #end(key: string): void {
    this.#from.delete(key);
    this.#length -= key.length;
  }
}
