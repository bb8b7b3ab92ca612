/** A longer timer fires at once. Milliseconds, 25 days. */
const longestTimeoutMs = 2 ** 31 - 1;

/** Waits for times that are due, until it is stopped. */
export class Waits {
  readonly #shortMs: number;
  readonly #looks = new Set<() => void>();
  #isStopped = false;

  /** `shortMs`: what is due within it is waited for also when stopped. Milliseconds. */
  constructor({ shortMs }: { readonly shortMs: number }) {
    this.#shortMs = shortMs;
  }

  /**
   * Resolves with true at `dueMs` (since 1970), with false when it is stopped and that is too far off. Rejects with the
   * signal's reason when that aborts.
   */
  until(dueMs: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const end = (settle: () => void) => {
        clearTimeout(timer);
        this.#looks.delete(look);
        signal.removeEventListener("abort", look);
        settle();
      };
      const look = () => {
        const leftMs = dueMs - Date.now();
        clearTimeout(timer);
        if (signal.aborted) end(() => reject(signal.reason));
        else if (leftMs <= 0) end(() => resolve(true));
        else if (this.#isStopped && leftMs > this.#shortMs) end(() => resolve(false));
        else timer = setTimeout(look, Math.min(leftMs, longestTimeoutMs));
      };
      this.#looks.add(look);
      signal.addEventListener("abort", look);
      look();
    });
  }

  stop(): void {
    this.#isStopped = true;
    for (const look of [...this.#looks]) look();
  }
}
