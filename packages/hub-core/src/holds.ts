import type { ErrorCode } from "@orrery/contracts";
import type { NewEvent } from "@orrery/event-log";

interface Hold {
  /** Of the event that has to come first now. */
  readonly id: string;
  readonly code: ErrorCode;
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

  /** The message was refused with a retryable code. It was said before all that the connection is held for already. */
  hold(connection: object, [first]: readonly NewEvent[], code: ErrorCode): void {
    if (first === undefined) return;
    this.#holds.set(connection, { id: first.id, code, untilMs: this.#nowMs() + this.#holdMs });
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
