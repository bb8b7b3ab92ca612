/**
 * Runs tasks: of one key one at a time and in order, of different keys side by side, but no more than so many at once. A
 * task without a key waits for none. What can run at once does, and what a task returns at once is returned at once: an
 * event whose handler is not async costs no promise.
 */
export class KeyedQueue {
  readonly #most: number;
  readonly #lastOfKey = new Map<string, Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** What the task gives; a promise that rejects where it throws. */
  run<Result>(key: string | undefined, task: () => Result | Promise<Result>): Result | Promise<Result> {
    const before = key === undefined ? undefined : this.#lastOfKey.get(key);
    if (before === undefined && this.#running < this.#most) {
      this.#running += 1;
      return this.#remember(key, this.#runNow(task));
    }
    return this.#remember(key, this.#runLater(before, task));
  }

  async #runLater<Result>(
    before: Promise<unknown> | undefined,
    task: () => Result | Promise<Result>,
  ): Promise<Result> {
    await before?.catch(() => undefined);
    if (this.#running < this.#most) this.#running += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve)); // its place comes from one that ends
    return this.#runNow(task);
  }

  #runNow<Result>(task: () => Result | Promise<Result>): Result | Promise<Result> {
    let result: Result | Promise<Result>;
    try {
      result = task();
    } catch (error) {
      result = Promise.reject(error);
    }
    if (!(result instanceof Promise)) {
      this.#leave();
      return result;
    }
    return result.finally(() => this.#leave());
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }

  /** The next task of the key waits for this one. */
  #remember<Result>(key: string | undefined, result: Result | Promise<Result>): Result | Promise<Result> {
    if (key === undefined || !(result instanceof Promise)) return result;
    this.#lastOfKey.set(key, result);
    const forget = () => {
      if (this.#lastOfKey.get(key) === result) this.#lastOfKey.delete(key);
    };
    result.then(forget, forget);
    return result;
  }
}
