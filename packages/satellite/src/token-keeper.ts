import { OrreryError, type RenewReply } from "@orrery/contracts";
import { backoffMs, pause } from "./backoff.ts";
import { restFor } from "./packing.ts";
import { lifetimeOf, renewInMs } from "./token.ts";

/** How long the token function may take: people may have to sign in. Milliseconds. */
const askMs = 30_000;
/** Before the second attempt to renew, and before any further one. Milliseconds. */
const firstBackoffMs = 1_000;
const longestBackoffMs = 30_000;

export interface TokenKeeperOptions {
  /** The satellite's token function. */
  readonly give: () => string | Promise<string>;
  /** Sends a new token to the hub. Undefined: the connection was lost before the answer. */
  readonly renew: (token: string) => Promise<RenewReply | undefined>;
  readonly onError: (error: OrreryError) => void;
  /** Default: the system's time. */
  readonly clock?: Clock;
}

interface Clock {
  readonly nowMs: () => number;
  /** Resolves then, or as soon as the signal is aborted. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Asks a satellite's token function: at each connection, and in time before what it gave runs out. */
export class TokenKeeper {
  readonly #options: TokenKeeperOptions;
  readonly #clock: Clock;
  #asking: Promise<string> | undefined;
  #asked = new AbortController();
  /** What the hub was shown last. */
  #shown = "";
  #connection: AbortController | undefined;

  constructor(options: TokenKeeperOptions) {
    this.#options = options;
    this.#clock = options.clock ?? { nowMs: Date.now, pause };
  }

  /** A token to connect with. Rejects with `TOKEN_UNAVAILABLE` where the function gives none. */
  async show(): Promise<string> {
    this.#shown = await this.#ask();
    return this.#shown;
  }

  /** The hub took what it was shown: from now on it is renewed. */
  begin(): void {
    this.lose();
    this.#connection = new AbortController();
    void this.#renewInTime(this.#connection.signal);
  }

  /** The connection is gone. */
  lose(): void {
    this.#connection?.abort();
  }

  /** There will be no other connection. */
  end(): void {
    this.lose();
    this.#asked.abort();
  }

  async #renewInTime(lost: AbortSignal): Promise<void> {
    let failures = 0;
    let waitMs = renewInMs(this.#shown, this.#clock.nowMs());
    while (waitMs !== undefined) {
      await this.#clock.pause(waitMs, lost);
      if (lost.aborted) return;
      try {
        const before = this.#shown;
        const isTaken = await this.#renew(lost);
        if (lost.aborted) return;
        failures = isTaken && isLonger(this.#shown, before) ? 0 : failures + 1;
      } catch (error) {
        if (lost.aborted) return;
        failures += 1;
        this.#options.onError(error as OrreryError);
      }
      waitMs =
        failures === 0
          ? renewInMs(this.#shown, this.#clock.nowMs())
          : backoffMs(failures, firstBackoffMs, longestBackoffMs);
    }
  }

  /** Whether there was a new token, and the hub took it. */
  async #renew(lost: AbortSignal): Promise<boolean> {
    const token = await this.#ask();
    if (lost.aborted || token === this.#shown) return false;
    const reply = await this.#present(token, lost).catch((error) => {
      throw tokenUnavailable(error);
    });
    if (reply === undefined) return false;
    if (!reply.ok) throw tokenUnavailable(OrreryError.from(reply.error));
    this.#shown = token;
    return true;
  }

  /** Hands the token to the hub, again where it says when. Undefined: the connection was lost before the answer. */
  async #present(token: string, lost: AbortSignal): Promise<RenewReply | undefined> {
    for (;;) {
      const reply = await this.#options.renew(token);
      if (reply === undefined || reply.ok || reply.error.retryAfterMs === undefined) return reply;
      await this.#clock.pause(restFor(reply.error), lost);
      if (lost.aborted) return undefined;
    }
  }

  /** Once at a time: a call that a lost connection has left behind gives the next one its token too. */
  #ask(): Promise<string> {
    this.#asking ??= this.#askOnce().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #askOnce(): Promise<string> {
    const asked = new AbortController();
    this.#asked = asked;
    const tooLong = this.#clock.pause(askMs, asked.signal).then(() => {
      throw new OrreryError("TIMEOUT");
    });
    try {
      return await Promise.race([Promise.resolve().then(() => this.#options.give()), tooLong]);
    } catch (error) {
      throw tokenUnavailable(error);
    } finally {
      asked.abort();
    }
  }
}

/** With what the token function or the hub has said, in `cause` too. */
export function tokenUnavailable(cause: unknown): OrreryError {
  return new OrreryError("TOKEN_UNAVAILABLE", {
    ...(cause instanceof Error && { detail: cause.message }),
    cause,
  });
}

function isLonger(token: string, before: string): boolean {
  const expiresMs = (one: string) => lifetimeOf(one)?.expiresMs ?? Number.POSITIVE_INFINITY;
  return expiresMs(token) > expiresMs(before);
}
