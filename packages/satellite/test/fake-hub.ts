import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type Accepted,
  type EmitEntry,
  type ErrorCode,
  errorBody,
  type Refused,
  type Settle,
  type WireLimits,
} from "@orrery/contracts";
import { Server, type Socket } from "socket.io";

/** What a test's hub answers to a message; undefined: nothing, ever. */
// biome-ignore lint/suspicious/noExplicitAny: a test knows what it has asked for
type Answers = Record<string, (request: any) => unknown>;

export interface FakeClaim {
  readonly offset: number;
  readonly token?: number;
  readonly key?: string;
  readonly id?: string;
  readonly attempt?: number;
  readonly leaseMs?: number;
  readonly deadBefore?: readonly number[];
}

export const refused = (code: ErrorCode, retryAfterMs?: number): Refused => ({
  ok: false,
  error: errorBody(code, undefined, retryAfterMs),
});

/**
 * A Socket.IO server that says to a satellite what its test wants it to, and remembers what it hears: for the satellite's half
 * of work groups alone, also where the other half breaks its promises.
 */
export class FakeHub implements AsyncDisposable {
  epoch = "e";
  limits: WireLimits = { eventBytes: 131_072, batchEvents: 1_000, messageBytes: 262_144 };
  /** What each handshake said, as far as it came to that. */
  readonly handshakes: Record<string, unknown>[] = [];
  /** What it refuses the handshakes that come next with, in their order. */
  readonly refusals: ErrorCode[] = [];
  /** What it says is lost of the claims that a satellite lists. */
  lost: readonly number[] = [];
  readonly answers: Answers = {
    "hub:work": () => ({
      ok: true,
      cursor: `${this.epoch}:0`,
      leaseMs: 30_000,
      graceMs: 5_000,
      lost: this.lost,
    }),
    "hub:hold": () => ({ ok: true, lost: [] }),
    "hub:settle": ({ settles }) => ({ ok: true, replies: settles.map((one: Settle) => this.settled(one)) }),
    "hub:emit": (entries) => ({ ok: true, receipts: entries.map((one: EmitEntry) => this.#receipt(one)) }),
  };
  readonly #http = createServer();
  readonly #io = new Server(this.#http);
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly #heard: { readonly name: string; readonly request: any }[] = [];
  #waiting: (() => void)[] = [];
  #socket: Socket | undefined;
  #newest: Socket["conn"] | undefined;
  #head = 100;

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub();
    await hub.#listen(0);
    hub.#io.engine.on("connection", (connection: Socket["conn"]) => {
      hub.#newest = connection;
    });
    hub.#io.of("/parcels").use((socket, next) => next(hub.#admit(socket)));
    hub.#io.of("/parcels").on("connection", (socket) => hub.#serve(socket));
    return hub;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get #port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  /** How many satellites are connected, or have not said yet who they are. */
  get connections(): number {
    return this.#io.engine.clientsCount;
  }

  /** Ends the newest of them. */
  cutNewest(): void {
    this.#newest?.close();
  }

  /** The requests of that name so far. */
  heard(name: string) {
    return this.#heard.filter((one) => one.name === name).map(({ request }) => request);
  }

  /** Resolves with the `count`-th request of that name, when it is there. */
  async hears(name: string, count = 1) {
    while (this.heard(name).length < count) await new Promise<void>((wake) => this.#waiting.push(wake));
    return this.heard(name)[count - 1];
  }

  /** All settles so far, of all messages. */
  get settles(): readonly Settle[] {
    return this.heard("hub:settle").flatMap(({ settles }) => settles);
  }

  async hearsSettles(count: number): Promise<readonly Settle[]> {
    while (this.settles.length < count) await this.hears("hub:settle", this.heard("hub:settle").length + 1);
    return this.settles;
  }

  /** What is answered to a settle that is accepted. */
  settled({ events = [] }: Settle): { readonly ok: true; readonly receipts: readonly Accepted[] } {
    return { ok: true, receipts: events.map((one) => this.#receipt(one)) };
  }

  #receipt([, , options]: EmitEntry): Accepted {
    this.#head += 1;
    return { ok: true, id: options?.id ?? "", offset: this.#head };
  }

  say(name: string, message: unknown): void {
    this.#socket?.emit(name, message);
  }

  /** Hands pickups to the member of the group `drivers`. */
  hand(...claims: readonly FakeClaim[]): void {
    const entries = claims.map((claim) => {
      const { offset, token = offset, key = `p-${offset}`, id = `id-${offset}`, attempt = 1 } = claim;
      const data = { parcelId: key, vendorId: "acme", customer: { city: "Recife", state: "PE" } };
      const time = "2026-01-01T00:00:00.000Z";
      const meta = { id, source: "vendor:acme", type: "pickup", time, subject: key, offset, attempt };
      const { leaseMs = 30_000, deadBefore } = claim;
      return {
        offset,
        token,
        event: ["pickup", data, meta],
        leaseMs,
        ...(deadBefore !== undefined && { deadBefore }),
      };
    });
    this.say("hub:claims", { group: "drivers", claims: entries });
  }

  /** Ends the connection that is there, so that the satellite makes another one. */
  cut(): void {
    this.#socket?.conn.close();
  }

  /** Says why, then ends the connection for good, as the hub does with a code that is not retryable. */
  dismiss(code: ErrorCode): void {
    this.say("hub:close", errorBody(code));
    this.#socket?.disconnect(true);
  }

  /** Resolves when there were so many handshakes. */
  async meets(count: number): Promise<void> {
    while (this.handshakes.length < count) await new Promise<void>((wake) => this.#waiting.push(wake));
  }

  #admit(socket: Socket): Error | undefined {
    this.handshakes.push(socket.handshake.auth);
    this.#wake();
    const code = this.refusals.shift();
    return code && Object.assign(new Error(code), { data: errorBody(code) });
  }

  #serve(socket: Socket): void {
    this.#socket = socket;
    socket.onAny((name: string, request: unknown, ack?: (reply: unknown) => void) => {
      const answer = this.answers[name]?.(request);
      if (answer !== undefined) ack?.(answer);
      this.#heard.push({ name, request });
      this.#wake();
    });
    const { limits } = this;
    const contract = { name: "parcels", version: "1.0.0" };
    socket.emit("hub:welcome", { contract, satellite: {}, cursor: `${this.epoch}:0`, limits });
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#http.listen(port, "127.0.0.1", resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#io.close();
  }
}
