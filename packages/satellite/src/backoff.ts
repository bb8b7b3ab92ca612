// How long to wait before what has failed is tried again.

/**
 * `firstMs` after the first failure, twice as long after each further one, with up to a quarter less by chance, so that
 * failures that began together part.
 */
export const backoffMs = (failures: number, firstMs: number, mostMs: number): number =>
  Math.min(firstMs * 2 ** (failures - 1), mostMs) * (1 - Math.random() / 4);

/** Resolves after so many milliseconds, or as soon as the signal is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
