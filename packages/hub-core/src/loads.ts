interface Load {
  bytes: number;
  whenLess: (() => void)[];
}

/** What each of many has on its way to disk, and whether that is too much. Of whom nothing is on its way nothing is kept. */
export class Loads<Key> {
  readonly #most: number;
  readonly #loads = new Map<Key, Load>();

  /** `most`: more is too much. Bytes. */
  constructor(most: number) {
    this.#most = most;
  }

  /** So much more, until `remove` is called with as much. */
  add(key: Key, bytes: number): void {
    const load = this.#loads.get(key);
    if (load === undefined) this.#loads.set(key, { bytes, whenLess: [] });
    else load.bytes += bytes;
  }

  remove(key: Key, bytes: number): void {
    const load = this.#loads.get(key);
    if (load === undefined) return;
    load.bytes -= bytes;
    if (load.bytes === 0) this.#loads.delete(key);
    if (load.bytes <= this.#most) for (const wake of load.whenLess.splice(0)) wake();
  }

  isTooMuch(key: Key): boolean {
    return (this.#loads.get(key)?.bytes ?? 0) > this.#most;
  }

  /** Resolves when it is not too much. */
  async whenLess(key: Key): Promise<void> {
    const load = this.#loads.get(key);
    if (load !== undefined && load.bytes > this.#most)
      await new Promise<void>((resolve) => load.whenLess.push(resolve));
  }
}
