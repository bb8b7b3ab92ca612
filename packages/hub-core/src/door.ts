import { type ErrorBody, errorBody } from "@orrery/contracts";
import type { Limits } from "./limits.ts";
import { type Rate, Rates } from "./rate.ts";
import { Tally } from "./tally.ts";

/**
 * Sockets for each handshake: who polls has two, opens a third to change to WebSocket, and a new one for each message after a rest of 5 s
 * (Node's). TLS takes 1 to 2 ms for each.
 */
const socketsPerHandshake = 4;

/** All addresses together have a name that is none of theirs. */
const everywhere = "everywhere";

/**
 * Who may connect: how many there are, in all and by address, and how fast they come. No sockets here, and no clock: `nowMs` is
 * never set back.
 */
export class Door {
  readonly #limits: Limits;
  readonly #handshakes: Rates<string>;
  readonly #handshakesByAddress: Rates<string>;
  /** Refusals that were told; who is beyond is not worth an answer. */
  readonly #refusals: Rates<string>;
  readonly #refusalsByAddress: Rates<string>;
  readonly #sockets: Rates<string>;
  readonly #socketsByAddress: Rates<string>;
  readonly #inside = new Tally();
  readonly #insideByAddress = new Tally();

  constructor(limits: Limits) {
    this.#limits = limits;
    const debt = Number.POSITIVE_INFINITY;
    const all: Rate = { perSecond: limits.handshakesPerSecond, atOnce: limits.handshakesAtOnce, debt };
    const each: Rate = {
      perSecond: limits.handshakesPerSecondPerAddress,
      atOnce: limits.handshakesAtOncePerAddress,
      debt,
    };
    this.#handshakes = new Rates(all);
    this.#handshakesByAddress = new Rates(each);
    this.#refusals = new Rates(all);
    this.#refusalsByAddress = new Rates(each);
    this.#sockets = new Rates(times(socketsPerHandshake, all));
    this.#socketsByAddress = new Rates(times(socketsPerHandshake, each));
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
    const waitMs = this.#waitMs(address, nowMs);
    if (waitMs === 0) {
      this.#handshakes.take(everywhere, 1, nowMs);
      this.#handshakesByAddress.take(address, 1, nowMs);
      return undefined;
    }
    this.#refusals.take(everywhere, 1, nowMs);
    this.#refusalsByAddress.take(address, 1, nowMs);
    return errorBody("HANDSHAKES_TOO_MANY", undefined, waitMs);
  }

  /**
   * Counts one more socket from there, if it is to be served; not where they come too fast, nor where it would only be refused once more,
   * after many.
   */
  serves(address: string, nowMs: number): boolean {
    const isCrowd =
      this.#sockets.waitMs(everywhere, nowMs) > 0 || this.#socketsByAddress.waitMs(address, nowMs) > 0;
    if (isCrowd || this.#isShut(address, nowMs)) return false;
    this.#sockets.take(everywhere, 1, nowMs);
    this.#socketsByAddress.take(address, 1, nowMs);
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
    if (this.#waitMs(address, nowMs) === 0) return false;
    return this.#refusals.waitMs(everywhere, nowMs) > 0 || this.#refusalsByAddress.waitMs(address, nowMs) > 0;
  }

  #waitMs(address: string, nowMs: number): number {
    return Math.max(
      this.#handshakes.waitMs(everywhere, nowMs),
      this.#handshakesByAddress.waitMs(address, nowMs),
    );
  }
}

const times = (factor: number, { perSecond, atOnce, debt }: Rate): Rate => ({
  perSecond: factor * perSecond,
  atOnce: factor * atOnce,
  debt,
});
