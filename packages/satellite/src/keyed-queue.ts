/**
 * Runs tasks: of one key one at a time and in order, of different keys side by side, but no more than so many at once. A
 * task without a key waits for none.
 */
export class KeyedQueue {
  readonly #most: number;
  readonly #lastOfKey = new Map<string, Promise<void>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Resolves with what the task does; a rejection is the task's own. */
  async run<Result>(key: string | undefined, task: () => Promise<Result>): Promise<Result> {
    const result = (key === undefined ? undefined : (this.#lastOfKey.get(key) ?? Promise.resolve()))?.then(
      () => this.#inTurn(task),
    );
    if (key === undefined || result === undefined) return this.#inTurn(task);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#lastOfKey.set(key, settled);
    void settled.then(() => {
      if (this.#lastOfKey.get(key) === settled) this.#lastOfKey.delete(key);
    });
    return result;
  }

  async #inTurn<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#running >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift(); // it takes this one's place
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
