import { connect, type Socket } from "node:net";

/** One TCP connection, of which nothing is checked and everything noted. */
export class Wire {
  /** How it ended: `ended`, `reset`, `refused`, or `dropped` by this side. */
  readonly ended: Promise<string>;
  readonly #socket: Socket;
  #isOver = false;
  #isDropped = false;
  #onBytes: (bytes: Buffer) => void = () => undefined;

  private constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let fault: NodeJS.ErrnoException | undefined;
    this.#socket.on("error", (error) => {
      fault = error;
    });
    this.#socket.on("data", (bytes) => this.#onBytes(bytes));
    this.ended = new Promise((resolve) => {
      this.#socket.on("close", () => {
        this.#isOver = true;
        const reason = fault?.code === "ECONNREFUSED" ? "refused" : fault === undefined ? "ended" : "reset";
        resolve(this.#isDropped ? "dropped" : reason);
      });
    });
  }

  /** Connecting: what is written waits for that. */
  static open(port: number): Wire {
    return new Wire(port);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  set onBytes(hear: (bytes: Buffer) => void) {
    this.#onBytes = hear;
  }

  write(bytes: Buffer): void {
    if (!this.#isOver) this.#socket.write(bytes);
  }

  stopReading(): void {
    this.#socket.pause();
  }

  readOn(): void {
    this.#socket.resume();
  }

  /** `reset`: without a goodbye, as a machine that is gone. */
  drop(how: "end" | "reset" = "end"): void {
    this.#isDropped = true;
    if (how === "reset") this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }
}
