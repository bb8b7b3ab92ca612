import { setTimeout } from "node:timers/promises";

/** A longer one fires at once. Milliseconds, 25 days. */
const longestTimeoutMs = 2 ** 31 - 1;

/** Resolves when `dueInMs` gives 0, at once where it does so now; rejects with `AbortError` when `signal` is aborted, due or not. */
export async function waitUntilDue(dueInMs: () => number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  for (let ms = dueInMs(); ms > 0; ms = dueInMs()) {
    await setTimeout(Math.min(ms, longestTimeoutMs), undefined, { signal });
  }
}
