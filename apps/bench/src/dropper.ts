import type { Server } from "node:http";
import type { Socket } from "node:net";

/** Between two looks. Milliseconds. */
const tickMs = 10;

/**
 * Breaks connections from the server's side, whatever library is on either end of them: the client sees its transport
 * close, and how long it stays away is up to its own `reconnectionDelay`.
 */
export class Dropper {
  readonly #connections = new Set<Socket>();
  readonly #dueMs = new Map<Socket, number>();
  #everyMs = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #drops = 0;

  constructor(server: Server) {
    server.on("connection", (connection: Socket) => {
      this.#connections.add(connection);
      if (this.#timer !== undefined) this.#dueMs.set(connection, performance.now() + this.#everyMs);
      connection.once("close", () => {
        this.#connections.delete(connection);
        this.#dueMs.delete(connection);
      });
    });
  }

  /** How many there are: those that came before the clients that shall be dropped are spared. */
  start(spared: number, everyMs: number): void {
    this.#everyMs = everyMs;
    const dropped = [...this.#connections].slice(spared);
    const startMs = performance.now();
    // The first time spread over the interval, so that they do not drop together.
    for (const [place, connection] of dropped.entries()) {
      this.#dueMs.set(connection, startMs + (everyMs * place) / dropped.length);
    }
    this.#timer = setInterval(() => this.#dropDue(), tickMs);
  }

  /** How many connections were broken. */
  stop(): number {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#dueMs.clear();
    return this.#drops;
  }

  #dropDue(): void {
    const nowMs = performance.now();
    for (const [connection, dueMs] of this.#dueMs) {
      if (dueMs > nowMs) continue;
      this.#dueMs.delete(connection);
      this.#drops += 1;
      connection.destroy();
    }
  }
}
