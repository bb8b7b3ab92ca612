import {
  type Contract,
  type Cursor,
  type DataIn,
  type DataOut,
  type ErrorBody,
  type EventName,
  type KeepOf,
  type Meta,
  OrreryError,
  protocolVersion,
  type ReceiptOf,
  type RoleOf,
} from "@orrery/contracts";
import { parser } from "@orrery/contracts/packet-text";
import { io } from "socket.io-client";
import { type Connection, type ConnectionInput, type Status, step } from "./connection.ts";
import type { Handler } from "./handlers.ts";
import type { HubSocket } from "./hub-socket.ts";
import { Listener } from "./listener.ts";
import { type SayOptions, Speaker } from "./speaker.ts";

export interface ConnectOptions<C extends Contract> {
  /** Where the hub is: `http://127.0.0.1:4170`. */
  readonly url: string;
  readonly role: RoleOf<C>;
  /** `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`. With the role it gives the satellite its rooms, `vendor:acme` and `satellite:acme`. */
  readonly id: string;
  /** Hear only events in these rooms. Default: all that the role may hear. */
  readonly rooms?: readonly string[];
  /** What to hear first: events from `"now"` on (default), all that are kept (`"start"`), or those after a cursor. */
  readonly from?: "now" | "start" | Cursor;
  /** How many events may wait for their receipts. Past it `emit` rejects with `OUTBOX_FULL`. Default 10_000. */
  readonly outboxEvents?: number;
  /** Hears of every change of the status; `reason` is why the hub refused or closed the connection. */
  readonly onStatus?: (status: Status, reason?: OrreryError) => void;
  /**
   * Hears of what a handler throws (`meta` is its event's), of a refused `on`, and of `HISTORY_CHANGED`. Default:
   * `console.error`.
   */
  readonly onError?: (error: unknown, meta?: Meta) => void;
}

/** A connection to the hub for one contract. It reconnects by itself, and then hears what it missed. */
export interface Satellite<C extends Contract> {
  readonly status: Status;
  /** The place in the log up to which events were heard; undefined before listening started. */
  readonly cursor: Cursor | undefined;
  /**
   * Calls `handler` for each such event, in the order of the log; while an async handler is not done, later events of the
   * same key wait. What it throws goes to `onError`. The same handler is added once.
   */
  on<N extends EventName<C>>(event: N, handler: HandlerOf<C, N>): this;
  /** As `on`, for the first such event only. */
  once<N extends EventName<C>>(event: N, handler: HandlerOf<C, N>): this;
  /** Without `handler`: removes all of the event's. */
  off<N extends EventName<C>>(event: N, handler?: HandlerOf<C, N>): this;
  /**
   * Says an event; resolves when the hub has it on disk, or, for events that are not kept, has passed it on. Waits through
   * lost connections and retryable refusals. Rejects with an `OrreryError`: the hub's refusal, `OUTBOX_FULL`, `TIMEOUT`
   * or `CLOSED`.
   */
  emit<N extends EventName<C>>(
    event: N,
    data: DataIn<C, N>,
    options?: SayOptions,
  ): Promise<ReceiptOf<KeepOf<C, N>>>;
  /** Resolves when the satellite is online and hears all it listens to; rejects when it was refused or closed. */
  ready(): Promise<void>;
  /**
   * Hears nothing more, waits for receipts that are still due, but no longer than `drainMs` (default 2_000), then
   * disconnects. What has no receipt by then rejects with `CLOSED`.
   */
  close(options?: { readonly drainMs?: number }): Promise<void>;
}

export type HandlerOf<C extends Contract, N extends EventName<C>> = (
  data: DataOut<C, N>,
  meta: Meta,
) => void | Promise<void>;

/** Connects a satellite to the hub's contract, at once and, after every loss, again. */
export function connect<C extends Contract>(contract: C, options: ConnectOptions<C>): Satellite<C> {
  return new ConnectedSatellite(contract, options);
}

/** Before a connection that the hub ended, or refused for now, is made again. Milliseconds. */
const reconnectMs = 500;

class ConnectedSatellite<C extends Contract> implements Satellite<C> {
  readonly #onStatus: ConnectOptions<C>["onStatus"];
  readonly #socket: HubSocket;
  readonly #speaker: Speaker;
  readonly #listener: Listener;
  #connection: Connection = { status: "connecting" };
  #isWelcome = false;
  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  #waitingForReady: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  constructor(
    contract: C,
    { url, role, id, rooms, from, outboxEvents, onStatus, onError }: ConnectOptions<C>,
  ) {
    this.#onStatus = onStatus;
    this.#socket = io(`${url.replace(/\/$/, "")}/${contract.name}`, {
      auth: { role, id, protocol: protocolVersion },
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      forceNew: true,
      reconnectionDelay: 200,
      reconnectionDelayMax: 2_000,
      parser,
    });
    this.#speaker = new Speaker(this.#socket, outboxEvents ?? 10_000);
    this.#listener = new Listener(this.#socket, {
      from: from ?? "now",
      rooms,
      onError: onError ?? ((error) => console.error(error)),
      onSettled: (refusal) => this.#settleReady(refusal),
    });
    this.#attach();
  }

  get status(): Status {
    return this.#connection.status;
  }

  get cursor(): Cursor | undefined {
    return this.#listener.cursor;
  }

  on<N extends EventName<C>>(event: N, handler: HandlerOf<C, N>): this {
    this.#listener.add(event, handler as Handler);
    return this;
  }

  once<N extends EventName<C>>(event: N, handler: HandlerOf<C, N>): this {
    const first: HandlerOf<C, N> = (data, meta) => {
      this.off(event, first);
      return handler(data, meta);
    };
    return this.on(event, first);
  }

  off<N extends EventName<C>>(event: N, handler?: HandlerOf<C, N>): this {
    this.#listener.remove(event, handler as Handler | undefined);
    return this;
  }

  async emit<N extends EventName<C>>(
    event: N,
    data: DataIn<C, N>,
    options: SayOptions = {},
  ): Promise<ReceiptOf<KeepOf<C, N>>> {
    const ended = this.#ended();
    if (ended !== undefined) throw ended;
    return (await this.#speaker.emit(event, data, options)) as ReceiptOf<KeepOf<C, N>>;
  }

  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const ended = this.#ended();
      if (ended !== undefined) return reject(ended);
      this.#waitingForReady.push({ resolve, reject });
      this.#settleReady();
    });
  }

  async close({ drainMs = 2_000 }: { readonly drainMs?: number } = {}): Promise<void> {
    this.#listener.end();
    await this.#speaker.drained(drainMs);
    this.#happened({ kind: "closed" });
  }

  #attach(): void {
    const socket = this.#socket;
    socket.on("connect", () => this.#happened({ kind: "connected" }));
    socket.on("hub:welcome", ({ limits }) => {
      this.#isWelcome = true;
      this.#listener.welcome();
      this.#speaker.welcome(limits);
      this.#settleReady();
    });
    socket.on("disconnect", (reason) => {
      this.#isWelcome = false;
      this.#listener.lose();
      this.#speaker.lose();
      this.#happened({ kind: "disconnected", isByHub: reason === "io server disconnect" });
    });
    socket.on("connect_error", (error) => {
      const told = (error as { data?: ErrorBody }).data;
      if (told?.code !== undefined) this.#happened({ kind: "told", error: told, isHandshake: true });
    });
    socket.on("hub:close", (error) => this.#happened({ kind: "told", error, isHandshake: false }));
  }

  #happened(input: ConnectionInput): void {
    const before = this.#connection;
    const [after, effect] = step(before, input);
    this.#connection = after;
    if (effect === "reconnect") {
      clearTimeout(this.#reconnectTimer);
      this.#reconnectTimer = setTimeout(() => this.#socket.connect(), reconnectMs);
    }
    if (effect === "end") this.#end();
    if (after.status !== before.status) this.#onStatus?.(after.status, after.reason);
  }

  #end(): void {
    clearTimeout(this.#reconnectTimer);
    this.#socket.disconnect();
    const ended = this.#ended();
    this.#speaker.end(ended);
    this.#settleReady(ended);
  }

  /** Why nothing can be said or heard any more. */
  #ended(): OrreryError | undefined {
    const { status, reason } = this.#connection;
    if (status === "refused") return reason;
    return status === "closed" ? new OrreryError("CLOSED") : undefined;
  }

  #settleReady(refusal?: OrreryError): void {
    if (refusal === undefined && !(this.#isWelcome && this.#listener.isSettled)) return;
    for (const { resolve, reject } of this.#waitingForReady.splice(0)) {
      if (refusal === undefined) resolve();
      else reject(refusal);
    }
  }
}
