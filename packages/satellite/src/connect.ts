import {
  type ClientToServerEvents,
  type Contract,
  type Cursor,
  type DataIn,
  type DataOut,
  type EmitOptions,
  type EmitReply,
  type ErrorBody,
  type EventName,
  type HeardEntry,
  type KeepOf,
  type ListenReply,
  type ListenRequest,
  type Meta,
  OrreryError,
  protocolVersion,
  type Receipt,
  type ReceiptOf,
  type RoleOf,
  type ServerToClientEvents,
  type WireLimits,
} from "@orrery/contracts";
import { PacketText, parser } from "@orrery/contracts/packet-text";
import { io, type Socket } from "socket.io-client";
import { type Connection, type ConnectionInput, type Status, step } from "./connection.ts";
import { type Handler, Handlers } from "./handlers.ts";
import { uuidv7Source } from "./ids.ts";
import { Outbox, type OutboxEntry } from "./outbox.ts";

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

export interface SayOptions extends EmitOptions {
  /** After this many milliseconds without a receipt `emit` rejects with `TIMEOUT`. Default: it waits until `close()`. */
  readonly timeoutMs?: number;
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

/** Events in one message; more gain nothing. */
const messageEvents = 256;
/** Messages without an answer; more would only wait in the hub instead of here. */
const openMessages = 32;
/** Before what was refused with a retryable code is tried again. Milliseconds. */
const retryMs = 500;

class ConnectedSatellite<C extends Contract> implements Satellite<C> {
  readonly #options: ConnectOptions<C>;
  readonly #socket: Socket<ServerToClientEvents, ClientToServerEvents>;
  readonly #nextId = uuidv7Source();
  readonly #outbox = new Outbox();
  readonly #handlers: Handlers;
  readonly #onError: (error: unknown, meta?: Meta) => void;
  #connection: Connection = { status: "connecting" };
  #limits: WireLimits | undefined;
  #epoch: string | undefined;
  #offset = 0;
  #openMessages = 0;
  #isFlushDue = false;
  #from: "now" | "start" | Cursor;
  /** Counts changes of what is listened to; which of them went out, and which were answered, on this connection. */
  #listenChange = 0;
  #listenSent = -1;
  #listenAnswered = -1;
  #isListenDue = false;
  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  /** Set while the outbox rests, after a retryable refusal. */
  #restTimer: ReturnType<typeof setTimeout> | undefined;
  #waitingForReady: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #waitingForEmpty: (() => void)[] = [];

  constructor(contract: C, options: ConnectOptions<C>) {
    this.#options = options;
    this.#from = options.from ?? "now";
    this.#onError = options.onError ?? ((error) => console.error(error));
    this.#handlers = new Handlers((error, [, , meta]) => this.#onError(error, meta));
    const { role, id, url } = options;
    this.#socket = io(`${url.replace(/\/$/, "")}/${contract.name}`, {
      auth: { role, id, protocol: protocolVersion },
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      forceNew: true,
      reconnectionDelay: 200,
      reconnectionDelayMax: 2_000,
      parser,
    });
    this.#attach();
  }

  get status(): Status {
    return this.#connection.status;
  }

  get cursor(): Cursor | undefined {
    return this.#epoch === undefined ? undefined : `${this.#epoch}:${this.#offset}`;
  }

  on<N extends EventName<C>>(event: N, handler: HandlerOf<C, N>): this {
    if (this.#handlers.add(event, handler as Handler)) this.#listenSoon();
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
    if (this.#handlers.remove(event, handler as Handler | undefined)) this.#listenSoon();
    return this;
  }

  emit<N extends EventName<C>>(
    event: N,
    data: DataIn<C, N>,
    { id = this.#nextId(), timeoutMs }: SayOptions = {},
  ): Promise<ReceiptOf<KeepOf<C, N>>> {
    return new Promise((resolve, reject) => {
      const final = this.#finalError();
      if (final !== undefined) return reject(final);
      if (this.#outbox.size >= (this.#options.outboxEvents ?? 10_000))
        return reject(new OrreryError("OUTBOX_FULL"));
      let text: string;
      try {
        text = JSON.stringify([event, data, { id }]);
      } catch (cause) {
        return reject(new OrreryError("DATA_INVALID", { detail: "It is not plain JSON.", cause }));
      }
      const entry: OutboxEntry = { text, bytes: bytesOf(text), resolve: resolve as never, reject };
      this.#outbox.add(entry);
      if (timeoutMs !== undefined) this.#dropAfter(entry, timeoutMs);
      this.#flushSoon();
    });
  }

  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const final = this.#finalError();
      if (final !== undefined) return reject(final);
      this.#waitingForReady.push({ resolve, reject });
      this.#settleReady();
    });
  }

  async close({ drainMs = 2_000 }: { readonly drainMs?: number } = {}): Promise<void> {
    for (const event of this.#handlers.events) this.#handlers.remove(event);
    if (this.#outbox.size > 0 && this.status === "online" && drainMs > 0) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, drainMs);
        this.#waitingForEmpty.push(resolve);
      });
      clearTimeout(timer);
    }
    this.#happened({ kind: "closed" });
  }

  #attach(): void {
    const socket = this.#socket;
    socket.on("connect", () => this.#happened({ kind: "connected" }));
    socket.on("disconnect", (reason) => {
      this.#listenSent = -1;
      this.#listenAnswered = -1;
      this.#openMessages = 0;
      this.#outbox.unsendAll();
      this.#wakeOutbox();
      this.#happened({ kind: "disconnected", isByHub: reason === "io server disconnect" });
    });
    socket.on("connect_error", (error) => {
      const told = (error as { data?: ErrorBody }).data;
      if (told?.code !== undefined) this.#happened({ kind: "told", error: told, isHandshake: true });
    });
    socket.on("hub:close", (error) => this.#happened({ kind: "told", error, isHandshake: false }));
    socket.on("hub:welcome", ({ limits }) => {
      this.#limits = limits;
      this.#listenNow();
      this.#flushNow();
      this.#settleReady();
    });
    socket.on("hub:events", (entries, ack) => {
      for (const entry of entries) this.#hear(entry);
      ack?.(null);
    });
  }

  #happened(input: ConnectionInput): void {
    const before = this.#connection;
    const [after, effect] = step(before, input);
    this.#connection = after;
    if (effect === "reconnect") {
      clearTimeout(this.#reconnectTimer);
      this.#reconnectTimer = setTimeout(() => this.#socket.connect(), retryMs);
    }
    if (effect === "end") this.#end();
    if (after.status !== before.status) this.#options.onStatus?.(after.status, after.reason);
  }

  #end(): void {
    clearTimeout(this.#reconnectTimer);
    this.#wakeOutbox();
    this.#socket.disconnect();
    const error = this.#finalError();
    this.#outbox.dropAll(error);
    for (const { reject } of this.#waitingForReady.splice(0)) reject(error);
    for (const resolve of this.#waitingForEmpty.splice(0)) resolve();
  }

  /** Why nothing can be said or heard any more. */
  #finalError(): OrreryError | undefined {
    const { status, reason } = this.#connection;
    if (status === "refused") return reason;
    return status === "closed" ? new OrreryError("CLOSED") : undefined;
  }

  // Hearing

  #hear(entry: HeardEntry): void {
    const { offset } = entry[2];
    if (offset !== undefined) {
      if (offset <= this.#offset) return;
      this.#offset = offset;
    }
    this.#handlers.hear(entry);
  }

  /** Tells the hub once for all `on` and `off` of this turn. */
  #listenSoon(): void {
    this.#listenChange += 1;
    if (this.#isListenDue) return;
    this.#isListenDue = true;
    queueMicrotask(() => {
      this.#isListenDue = false;
      this.#listenNow();
    });
  }

  #listenNow(): void {
    if (this.#limits === undefined || this.status !== "online") return;
    const { events } = this.#handlers;
    const isFirst = this.#listenSent === -1;
    if (this.#listenSent === this.#listenChange || (isFirst && events.length === 0)) return;
    if (events.length === 0) this.#forgetCursor();
    const { rooms } = this.#options;
    const after = this.cursor ?? this.#from;
    const request: ListenRequest = {
      events,
      ...(rooms !== undefined && { rooms }),
      ...(isFirst && after !== "now" && { after }),
    };
    const change = this.#listenChange;
    this.#listenSent = change;
    this.#socket.emit("hub:listen", request, (reply) => this.#listening(reply, change, isFirst));
  }

  #listening(reply: ListenReply, change: number, isFirst: boolean): void {
    if (!reply.ok) {
      const error = OrreryError.from(reply.error);
      this.#onError(error);
      for (const { reject } of this.#waitingForReady.splice(0)) reject(error);
      return;
    }
    this.#listenAnswered = change;
    if (isFirst || this.#epoch === undefined) {
      const colon = reply.cursor.indexOf(":");
      this.#epoch = reply.cursor.slice(0, colon);
      this.#offset = Number(reply.cursor.slice(colon + 1));
      if (reply.gap !== undefined) this.#onError(new OrreryError("HISTORY_CHANGED"));
    }
    this.#settleReady();
  }

  /** Nobody listens any more: who starts again, starts from then on. */
  #forgetCursor(): void {
    this.#epoch = undefined;
    this.#from = "now";
  }

  #settleReady(): void {
    const isListening = this.#listenAnswered === this.#listenChange || this.#handlers.events.length === 0;
    if (this.status !== "online" || this.#limits === undefined || !isListening) return;
    for (const { resolve } of this.#waitingForReady.splice(0)) resolve();
  }

  // Saying

  /** Sends once for all that is emitted in this turn. */
  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    nextTurn(() => {
      this.#isFlushDue = false;
      this.#flushNow();
    });
  }

  #flushNow(): void {
    if (this.#limits === undefined || this.status !== "online" || this.#restTimer !== undefined) return;
    const { batchEvents, messageBytes } = this.#limits;
    while (this.#outbox.hasUnsent && this.#openMessages < openMessages) {
      // Half a message: room for what frames the events, and for a limit that counts a little differently.
      const entries = this.#outbox.take(Math.min(messageEvents, batchEvents), messageBytes / 2);
      const [first] = entries;
      if (first === undefined) continue;
      if (first.bytes > messageBytes - 1_024) {
        for (const entry of entries) this.#outbox.drop(entry, new OrreryError("EVENT_TOO_LARGE"));
        continue;
      }
      this.#openMessages += 1;
      const packet = new PacketText(`["hub:emit",[${entries.map(({ text }) => text).join(",")}]]`);
      this.#socket.emit("hub:emit", packet as never, (reply) => this.#answered(entries, reply));
    }
  }

  #answered(entries: readonly OutboxEntry[], reply: EmitReply): void {
    this.#openMessages -= 1;
    const again: OutboxEntry[] = [];
    entries.forEach((entry, place) => {
      const receipt: Receipt | undefined = reply.ok ? reply.receipts[place] : reply;
      if (receipt?.ok) this.#outbox.settle(entry, receipt);
      else if (receipt?.error.retryable) again.push(entry);
      else
        this.#outbox.drop(
          entry,
          receipt ? OrreryError.from(receipt.error) : new OrreryError("MESSAGE_INVALID"),
        );
    });
    if (again.length > 0) {
      this.#outbox.putBack(again);
      this.#restTimer ??= setTimeout(() => {
        this.#wakeOutbox();
        this.#flushNow();
      }, retryMs);
    }
    if (this.#outbox.size === 0) for (const resolve of this.#waitingForEmpty.splice(0)) resolve();
    this.#flushNow();
  }

  #wakeOutbox(): void {
    clearTimeout(this.#restTimer);
    this.#restTimer = undefined;
  }

  #dropAfter(entry: OutboxEntry, timeoutMs: number): void {
    const timer = setTimeout(() => this.#outbox.drop(entry, new OrreryError("TIMEOUT")), timeoutMs);
    const { resolve, reject } = entry;
    Object.assign(entry, {
      resolve(receipt: never) {
        clearTimeout(timer);
        resolve(receipt);
      },
      reject(error: unknown) {
        clearTimeout(timer);
        reject(error);
      },
    });
  }
}

const encoder = new TextEncoder();

/** Bytes of UTF-8, counted only where the text may not be plain ASCII. */
const bytesOf = (text: string): number => (text.length < 512 ? text.length * 3 : encoder.encode(text).length);

/**
 * After everything that is ready to run has run, and without a timer: events that many callers emit upon one receipt
 * still travel in one message.
 */
const nextTurn: (run: () => void) => void =
  typeof setImmediate === "function" ? setImmediate : queueMicrotask;
