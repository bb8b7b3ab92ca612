import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import pLimit from "p-limit";
import { restMs } from "./share.ts";

/** Pages that are on their way to satellites at once, over all: a page is some 250 KB, and up to 4 MB. */
const turns = 32;
/** What takes longer, because the satellite reads slowly, keeps nobody waiting. Milliseconds. */
const turnMs = 1_000;

/**
 * Lets satellites that catch up have their pages, so many on their way at once and in the order of asking: a crowd that comes
 * back is served bit by bit. Between any two pages the event loop turns, and while events pass live a page, 1 to 5 ms of work, is
 * followed by a rest.
 */
export class Turns {
  readonly #turns = pLimit(turns);
  readonly #starts = pLimit(1);
  readonly #percent: number;
  #isLive = false;
  #restMs = 0;

  /** `percent`: of the hub's time, for pages while events pass live. */
  constructor(percent: number) {
    this.#percent = percent;
  }

  /** Events have passed live. */
  passed(): void {
    this.#isLive = true;
  }

  /** Reads when it is its turn, then sends. Settles when it is sent. */
  async take<Page>(read: () => Promise<Page>, send: (page: Page) => Promise<void>): Promise<void> {
    let sending: Promise<void> | undefined;
    await this.#turns(async () => {
      const over = new AbortController();
      const page = await read();
      sending = this.start().then(() => send(page));
      const timeout = pause(turnMs, undefined, { ref: false, signal: over.signal }).catch(() => undefined);
      await Promise.race([sending, timeout]).finally(() => over.abort());
    });
    await sending;
  }

  /** Resolves when as much as a page may be sent, at once. */
  start(): Promise<void> {
    return new Promise((begin) => {
      void this.#starts(async () => {
        await (this.#isLive ? pause(this.#restMs) : nextTurn());
        begin();
        if (!this.#isLive) return;
        this.#isLive = false;
        const beganMs = performance.now();
        // What is sent goes to the sockets at the end of this turn, and to the system at the end of the next one.
        await nextTurn();
        await nextTurn();
        this.#restMs = restMs(performance.now() - beganMs, this.#percent);
      });
    });
  }
}
