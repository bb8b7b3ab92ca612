import { setTimeout as pause } from "node:timers/promises";

/** Lets so many through in a second, evenly, and in the order of asking. */
export class Pace {
  readonly #everyMs: number;
  readonly #signal: AbortSignal;
  #nextMs = 0;

  constructor(perSecond: number, signal: AbortSignal) {
    this.#everyMs = 1_000 / perSecond;
    this.#signal = signal;
  }

  /** Resolves when it is one's turn. Rejects with the signal's reason. */
  async turn(): Promise<void> {
    const nowMs = performance.now();
    const atMs = Math.max(nowMs, this.#nextMs);
    this.#nextMs = atMs + this.#everyMs;
    await pause(atMs - nowMs, undefined, { signal: this.#signal });
  }
}
