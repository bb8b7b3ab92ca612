import { setImmediate as nextTurn } from "node:timers/promises";
import { type Connection, holdBack, spread } from "./connection.ts";

/**
 * What is taken from one connection in one turn of the event loop before others have theirs: a quarter of a millisecond of work. An
 * event passes through some eight turns from one satellite to the other.
 */
const turnMessages = 8;
/** The same for what it brings: two reads of the system. Node by itself reads up to 2 MB. */
const turnBytes = 131_072;

/** What came of one connection in this turn. */
interface Turn {
  messages: number;
  bytes: number;
}

/**
 * Lets no connection keep the event loop: beyond a little of each, its messages come one by one in turns of their own, between
 * those of others. With a flood of malformed messages beside it a bystander waited 150 ms at the median, and 4 with this.
 */
export class FairTurns {
  readonly #turns = new Map<Connection, Turn>();

  /** The system has read so many bytes. */
  read(connection: Connection, bytes: number): void {
    const turn = this.#turnOf(connection);
    turn.bytes += bytes;
    if (turn.bytes >= turnBytes) holdBack(connection, () => nextTurn());
  }

  /** A message is complete. */
  arrived(connection: Connection): void {
    const turn = this.#turnOf(connection);
    turn.messages += 1;
    if (turn.messages === turnMessages) spread(connection, true);
  }

  #turnOf(connection: Connection): Turn {
    const known = this.#turns.get(connection);
    if (known !== undefined) return known;
    if (this.#turns.size === 0) setImmediate(() => this.#end());
    const turn = { messages: 0, bytes: 0 };
    this.#turns.set(connection, turn);
    return turn;
  }

  #end(): void {
    for (const [connection, { messages }] of this.#turns) {
      if (messages >= turnMessages) spread(connection, false);
    }
    this.#turns.clear();
  }
}
