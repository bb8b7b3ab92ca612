import { type ErrorBody, errorBody } from "@orrery/contracts";
import type { Limits } from "./limits.ts";
import { Rates } from "./rate.ts";
import { Tally } from "./tally.ts";

/** All addresses together have a name that is none of theirs. */
const everywhere = "everywhere";

/**
 * Who may connect: how many there are, in all and by address, and how fast they come. No sockets here, and no clock: `nowMs` is
 * never set back.
 */
export class Door {
  readonly #limits: Limits;
  readonly #handshakes: Crowd;
  /** Refusals that were told; who is beyond is not worth an answer. */
  readonly #refusals: Crowd;
  readonly #sockets: Crowd;
  readonly #inside = new Tally();
  readonly #insideByAddress = new Tally();

  constructor(limits: Limits) {
    this.#limits = limits;
    this.#handshakes = new Crowd(limits, 1);
    this.#refusals = new Crowd(limits, 1);
    this.#sockets = new Crowd(limits, limits.socketsPerHandshake);
  }

  /** Why one more may not connect; undefined: it may. One that gets in is to be told with `enter`. */
  refusal(address: string, nowMs: number): ErrorBody | undefined {
    const refusal = this.handshakeRefusal(address, nowMs);
    if (refusal !== undefined) return refusal;
    const { connections, connectionsPerAddress } = this.#limits;
    const isFull =
      this.#inside.of(everywhere) >= connections ||
      this.#insideByAddress.of(address) >= connectionsPerAddress;
    return isFull ? errorBody("CONNECTIONS_TOO_MANY") : undefined;
  }

  /** The same for a handshake that makes no new connection. What is refused does not count, so that a crowd gets in bit by bit. */
  handshakeRefusal(address: string, nowMs: number): ErrorBody | undefined {
    const waitMs = this.#handshakes.waitMs(address, nowMs);
    const counted = waitMs === 0 ? this.#handshakes : this.#refusals;
    counted.take(address, nowMs);
    return waitMs === 0 ? undefined : errorBody("HANDSHAKES_TOO_MANY", undefined, waitMs);
  }

  /**
   * Counts one more socket from there, if it is to be served; not where they come too fast, nor where it would only be refused once more,
   * after many.
   */
  serves(address: string, nowMs: number): boolean {
    if (this.#sockets.waitMs(address, nowMs) > 0 || this.#isShut(address, nowMs)) return false;
    this.#sockets.take(address, nowMs);
    return true;
  }

  /** One more is in, until what this returns is called, once or more. */
  enter(address: string): () => void {
    const leaves = [this.#inside.add(everywhere), this.#insideByAddress.add(address)];
    return () => {
      for (const leave of leaves) leave();
    };
  }

  /** To whoever was told often enough, but for those that may come in. */
  #isShut(address: string, nowMs: number): boolean {
    return this.#handshakes.waitMs(address, nowMs) > 0 && this.#refusals.waitMs(address, nowMs) > 0;
  }
}

/** How fast something comes, from one address and from all together: so many times as fast as handshakes may. */
class Crowd {
  readonly #all: Rates<string>;
  readonly #each: Rates<string>;

  constructor(limits: Limits, times: number) {
    const rates = (perSecond: number, atOnce: number) =>
      new Rates<string>({
        perSecond: times * perSecond,
        atOnce: times * atOnce,
        debt: Number.POSITIVE_INFINITY,
      });
    this.#all = rates(limits.handshakesPerSecond, limits.handshakesAtOnce);
    this.#each = rates(limits.handshakesPerSecondPerAddress, limits.handshakesAtOncePerAddress);
  }

  waitMs(address: string, nowMs: number): number {
    return Math.max(this.#all.waitMs(everywhere, nowMs), this.#each.waitMs(address, nowMs));
  }

  take(address: string, nowMs: number): void {
    this.#all.take(everywhere, 1, nowMs);
    this.#each.take(address, 1, nowMs);
  }
}
