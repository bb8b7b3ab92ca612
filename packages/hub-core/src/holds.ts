import type { ErrorCode } from "@orrery/contracts";
import type { NewEvent } from "@orrery/event-log";

/** Of a connection, until `untilMs`. */
export interface Hold {
  /** Of the event that has to come first now. */
  readonly id: string;
  readonly code: ErrorCode;
  /** When that may come again. */
  readonly againMs: number;
  readonly untilMs: number;
}

/**
 * Keeps the order of what a connection says when something of it was refused for now: what was on its way by then must not
 * overtake it. The connection is held: all that it says is refused with the same code, until a message begins with the
 * first event that was refused, or `holdMs` are over, since that event may have been given up.
 */
export class Holds {
  readonly #holdMs: number;
  readonly #nowMs: () => number;
  readonly #holds = new WeakMap<object, Hold>();

  /** `nowMs`: a clock that is never set back. */
  constructor(holdMs: number, nowMs: () => number) {
    this.#holdMs = holdMs;
    this.#nowMs = nowMs;
  }

  /**
   * The message was refused with a retryable code. It was said before all that the connection is held for already.
   * `retryAfterMs`: what its satellite was told to wait before it says it again.
   */
  hold(
    connection: object,
    [first]: readonly Pick<NewEvent, "id">[],
    code: ErrorCode,
    retryAfterMs = 0,
  ): void {
    if (first === undefined) return;
    const againMs = this.#nowMs() + retryAfterMs;
    this.#holds.set(connection, { id: first.id, code, againMs, untilMs: againMs + this.#holdMs });
  }

  /** What the connection is held for. */
  of(connection: object): Hold | undefined {
    const hold = this.#holds.get(connection);
    return hold !== undefined && this.#nowMs() < hold.untilMs ? hold : undefined;
  }

  /** The event was refused for good: where the connection is held for it, it is not any more. */
  release(connection: object, id: unknown): void {
    if (this.#holds.get(connection)?.id === id) this.#holds.delete(connection);
  }

  /** What to refuse the message with; undefined: it may pass, and the connection is not held any more. */
  refusalOf(connection: object, [first]: readonly NewEvent[]): ErrorCode | undefined {
    const hold = this.#holds.get(connection);
    if (hold === undefined) return undefined;
    if (first?.id !== hold.id && this.#nowMs() < hold.untilMs) return hold.code;
    this.#holds.delete(connection);
    return undefined;
  }
}
