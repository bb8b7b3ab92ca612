import { once } from "node:events";
import type { Socket as TcpSocket } from "node:net";
import type { ErrorBody, Meta, Receipt } from "@orrery/contracts";
import { io, type Socket } from "socket.io-client";
import { WebSocket } from "ws";

/** What the hub answers to what it refuses. */
export const refusal = (code: string) => ({
  ok: false,
  error: expect.objectContaining({ code, message: expect.any(String) }),
});

export interface HeardEvent {
  readonly event: string;
  readonly data: Record<string, unknown>;
  readonly meta: Meta;
}

/** An unmodified Socket.IO client that remembers what it heard, in order. */
export class PlainClient implements AsyncDisposable {
  readonly socket: Socket;
  readonly heard: HeardEvent[] = [];
  #waiting: (() => void)[] = [];

  constructor(url: string, auth: object, options: object = {}) {
    this.socket = io(url, {
      auth,
      transports: ["websocket"],
      forceNew: true,
      reconnectionDelay: 50,
      ...options,
    });
    this.socket.onAny((event: string, first: unknown, second: unknown, ack?: (reply: null) => void) => {
      if (event === "hub:events" || event === "hub:latest") {
        for (const [name, data, meta] of first as [string, Record<string, unknown>, Meta][]) {
          this.heard.push({ event: name, data, meta });
        }
        const answer = typeof second === "function" ? second : ack;
        answer?.(null);
      } else if (!event.startsWith("hub:")) {
        this.heard.push({ event, data: first as Record<string, unknown>, meta: second as Meta });
      }
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  async connected(): Promise<this> {
    if (this.socket.connected) return this;
    await new Promise<void>((resolve, reject) => {
      this.socket.once("connect", resolve);
      this.socket.once("connect_error", (error) =>
        reject(Object.assign(error, (error as { data?: object }).data)),
      );
    });
    return this;
  }

  /** The refusal of the handshake. */
  async refused(): Promise<ErrorBody> {
    const error = await new Promise<Error>((resolve) => this.socket.once("connect_error", resolve));
    return (error as unknown as { data: ErrorBody }).data;
  }

  say(event: string, ...args: unknown[]): Promise<Receipt> {
    return this.socket.emitWithAck(event, ...args);
  }

  /** The next `count` events, taken out of `heard`. */
  async take(count: number): Promise<HeardEvent[]> {
    while (this.heard.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.heard.splice(0, count);
  }

  /** The next message of that name, such as `hub:close`. */
  next(event: string): Promise<unknown> {
    return new Promise((resolve) => this.socket.once(event, resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.disconnect();
  }
}

/** A client that speaks frames by hand, to say what no library would. */
export class RawClient implements AsyncDisposable {
  readonly frames: string[] = [];
  readonly socket: WebSocket;
  #waiting: (() => void)[] = [];

  constructor(url: string, headers: Record<string, string> = {}) {
    const address = `${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
    this.socket = new WebSocket(address, { headers });
    this.socket.on("message", (data) => {
      this.frames.push((data as Buffer).toString());
      for (const wake of this.#waiting.splice(0)) wake();
    });
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => {
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  /** Connects to the namespace as that role. */
  async join(namespace: string, auth: object): Promise<this> {
    await this.until((frame) => frame.startsWith("0"));
    this.send(`40${namespace},${JSON.stringify(auth)}`);
    await this.until((frame) => frame.startsWith("40"));
    return this;
  }

  send(frame: string | Buffer): void {
    this.socket.send(frame);
  }

  /** A text of 126 to 65,535 characters, of which the last `count` go when what this returns is called. */
  sendAllBut(count: number, text: string): () => void {
    const { _socket: tcp } = this.socket as unknown as { readonly _socket: TcpSocket };
    const frame = Buffer.from(`\x81\xfe\0\0\0\0\0\0${text}`, "latin1"); // masked with zeros
    frame.writeUInt16BE(text.length, 2);
    tcp.write(frame.subarray(0, -count));
    return () => tcp.write(frame.subarray(-count));
  }

  /** In one piece, which the hub reads at once. */
  sendTogether(frames: readonly string[]): void {
    const { _socket: tcp } = this.socket as unknown as { readonly _socket: TcpSocket };
    tcp.cork();
    for (const frame of frames) this.send(frame);
    tcp.uncork();
  }

  /** The first frame that fits, now or later; rejects when the connection ends before. */
  async until(fits: (frame: string) => boolean): Promise<string> {
    for (let looked = 0; ; ) {
      for (; looked < this.frames.length; looked += 1) {
        const frame = this.frames[looked] as string;
        if (fits(frame)) return frame;
      }
      if (this.socket.readyState === WebSocket.CLOSED)
        throw new Error(`closed after ${this.frames.join(" ")}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async closed(): Promise<void> {
    if (this.socket.readyState !== WebSocket.CLOSED) await once(this.socket, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate();
    await this.closed();
  }
}
