import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import pLimit from "p-limit";

/** Pages that are on their way to satellites at once, over all: a page is some 250 KB, and up to 4 MB. */
const turns = 32;
/** What takes longer, because the satellite reads slowly, keeps nobody waiting. Milliseconds. */
const turnMs = 1_000;

/**
 * Lets satellites that catch up have their pages, so many on their way at once and in the order of asking: a crowd that comes
 * back is served bit by bit. Between any two pages the event loop turns: live events pass between them.
 */
export class Turns {
  readonly #turns = pLimit(turns);
  readonly #starts = pLimit(1);

  /** Reads when it is its turn, then sends. Settles when it is sent. */
  async take<Page>(read: () => Promise<Page>, send: (page: Page) => Promise<void>): Promise<void> {
    let sending: Promise<void> | undefined;
    await this.#turns(async () => {
      const over = new AbortController();
      sending = this.#send(await read(), send);
      const timeout = pause(turnMs, undefined, { ref: false, signal: over.signal }).catch(() => undefined);
      await Promise.race([sending, timeout]).finally(() => over.abort());
    });
    await sending;
  }

  async #send<Page>(page: Page, send: (page: Page) => Promise<void>): Promise<void> {
    await this.#starts(() => nextTurn());
    await send(page);
  }
}
