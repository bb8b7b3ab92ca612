import {
  type Ack,
  type Contract,
  type Cursor,
  type DataIn,
  type DataOut,
  type DoneReply,
  type ErrorBody,
  type EventName,
  type FollowerStatus,
  type FollowersReply,
  type FollowRequest,
  type Gap,
  type KeepOf,
  type Meta,
  OrreryError,
  type Parked,
  type ParkedReply,
  protocolVersion,
  type ReceiptOf,
  type Refused,
  type RoleOf,
} from "@orrery/contracts";
import { parser } from "@orrery/contracts/packet-text";
import { io } from "socket.io-client";
import { openOutboxStore } from "#outbox-store";
import { type Connection, type ConnectionInput, type Status, step } from "./connection.ts";
import { Follower, type FollowHandler } from "./follower.ts";
import type { Handler } from "./handlers.ts";
import type { HubSocket } from "./hub-socket.ts";
import { Listener } from "./listener.ts";
import type { OutboxOptions } from "./outbox-store.ts";
import { type SayOptions, Speaker } from "./speaker.ts";

export interface ConnectOptions<C extends Contract> {
  /** Where the hub is: `http://127.0.0.1:4170`. */
  readonly url: string;
  readonly role: RoleOf<C>;
  /** `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`. With the role it gives the satellite its rooms, `vendor:acme` and `satellite:acme`. */
  readonly id: string;
  /** Hear only events in these rooms. Default: all that the role may hear. */
  readonly rooms?: readonly string[];
  /**
   * What to hear first: events from `"now"` on (default), all that are kept (`"start"`), or those after a cursor. A cursor
   * of another log, or beyond the end of this one, is a gap, and all that this one has kept is heard.
   */
  readonly from?: "now" | "start" | Cursor;
  /** How many events may wait for their receipts. Past it `emit` rejects with `OUTBOX_FULL`. Default 10_000. */
  readonly outboxEvents?: number;
  /**
   * Keeps what has no receipt yet beyond the end of the process: the next one that uses the same outbox sends it first.
   * `{ file }` in Node, `{ indexedDb }` in a browser. Default: in memory only.
   */
  readonly outbox?: OutboxOptions;
  /** Hears of every change of the status; `reason` is why the hub refused or closed the connection, or refused an `on`. */
  readonly onStatus?: (status: Status, reason?: OrreryError) => void;
  /**
   * Hears of what a handler throws (`meta` is its event's), of a refused `on`, and of an outbox that cannot be kept.
   * Default: `console.error`.
   */
  readonly onError?: (error: unknown, meta?: Meta) => void;
  /** Hears of events that cannot be told any more: which, and why. Default: `console.warn`. */
  readonly onGap?: (gap: Gap) => void;
}

export interface FollowOptions {
  /**
   * The name whose cursor the hub keeps, `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`; one of this satellite's own, so another one
   * may use the same. Following under it again takes it over.
   */
  readonly as: string;
  /** Where a new name begins: from `"now"` on (default), at the `"start"`, at a time (RFC 3339) or after a cursor. */
  readonly from?: "now" | "start" | Cursor | { readonly time: string };
  readonly rooms?: readonly string[];
  /** How many handlers run at once, of different keys. 1: strictly one after the other, in the order of the log. Default 16. */
  readonly concurrency?: number;
  /** How often a handler is called for one event before it is parked. Default 5. */
  readonly attempts?: number;
  /** Before the second attempt; twice as long before each further one, 10 s at most. Milliseconds, default 100. */
  readonly backoffMs?: number;
  /** Hears when it was ended from elsewhere: taken over (`FOLLOWER_TAKEN_OVER`), forgotten or refused. Default: `onError`. */
  readonly onEnd?: (reason: OrreryError) => void;
}

/** A running `follow`. */
export interface Following {
  readonly as: string;
  /** The identity of the log that it follows: offsets count within it. Undefined before `ready`. */
  readonly epoch: string | undefined;
  /** Resolves when the hub knows of it; rejects when it was refused. */
  ready(): Promise<void>;
  /** Hands out nothing more, and waits for handlers that run. The name stays: following again goes on from there. */
  stop(): Promise<void>;
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
  /**
   * Follows events under a name: the hub keeps its cursor, and moves it only when handlers are done, so what was not
   * handled comes again, also to another process, days later. Handlers run one at a time per key. One that throws is called
   * again, later each time, while other keys go on; after `attempts` the event is parked, and its key goes on too.
   */
  follow<N extends EventName<C>>(
    events: N | readonly N[],
    options: FollowOptions,
    handler: HandlerOf<C, N>,
  ): Following;
  /** The names this satellite follows under, now or earlier, and how they stand. */
  followers(): Promise<readonly FollowerStatus[]>;
  /** Removes a name, its cursor and what it has parked. */
  forget(as: string): Promise<void>;
  /** The events that the name's handler failed on for good. */
  parked(as: string): Promise<readonly Parked[]>;
  /** Hands a parked event out once more. It stays parked until it is handled; `FOLLOWER_AWAY` where nobody follows. */
  redrive(as: string, offset: number): Promise<void>;
  /** Resolves when the satellite is online and hears all it listens to; rejects when it, or that, was refused, or closed. */
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

/** How long a question to the hub may take. Milliseconds. */
const askMs = 10_000;
/** Before a connection that the hub ended, or refused for now, is made again. Milliseconds. */
const reconnectMs = 500;

class ConnectedSatellite<C extends Contract> implements Satellite<C> {
  readonly #onStatus: ConnectOptions<C>["onStatus"];
  readonly #socket: HubSocket;
  readonly #speaker: Speaker;
  readonly #listener: Listener;
  readonly #onError: (error: unknown, meta?: Meta) => void;
  readonly #onGap: (gap: Gap) => void;
  readonly #followers = new Map<string, Follower>();
  #connection: Connection = { status: "connecting" };
  #ending: Promise<void> | undefined;
  #isWelcome = false;
  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  #waitingForReady: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  constructor(contract: C, options: ConnectOptions<C>) {
    const { url, role, id, rooms, from, outbox, outboxEvents, onStatus, onError, onGap } = options;
    this.#onStatus = onStatus;
    this.#onError = onError ?? ((error) => console.error(error));
    this.#onGap = onGap ?? ((gap) => console.warn("events are missing", gap));
    const store = outbox && openOutboxStore(outbox);
    this.#socket = io(`${url.replace(/\/$/, "")}/${contract.name}`, {
      auth: { role, id, protocol: protocolVersion },
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      forceNew: true,
      timeout: 5_000, // Socket.IO's default of 20 s is long to wait for a handshake that was lost on the way
      reconnectionDelay: 200,
      reconnectionDelayMax: 2_000,
      parser,
    });
    this.#speaker = new Speaker(this.#socket, outboxEvents ?? 10_000, store, this.#onError);
    this.#listener = new Listener(this.#socket, {
      from: from ?? "now",
      rooms,
      onError: this.#onError,
      onGap: this.#onGap,
      onSettled: (refusal) => {
        this.#happened(refusal ? { kind: "not-listening", reason: refusal } : { kind: "listening" });
        this.#settleReady(refusal);
      },
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

  follow<N extends EventName<C>>(
    events: N | readonly N[],
    {
      as,
      from,
      rooms,
      concurrency = 16,
      attempts = 5,
      backoffMs = 100,
      onEnd = this.#onError,
    }: FollowOptions,
    handler: HandlerOf<C, N>,
  ): Following {
    if (!(concurrency >= 1 && attempts >= 1 && backoffMs >= 0)) {
      throw new OrreryError("CONFIG_INVALID", {
        detail: "concurrency and attempts: 1 or more; backoffMs: 0 or more.",
      });
    }
    const request: FollowRequest = {
      as,
      events: typeof events === "string" ? [events] : events,
      ...(rooms !== undefined && { rooms }),
      ...(from !== undefined && { from }),
    };
    const follower = new Follower(this.#socket, {
      request,
      concurrency,
      attempts,
      backoffMs,
      handler: handler as FollowHandler,
      onError: this.#onError,
      onGap: this.#onGap,
      onEnd,
    });
    this.#followers.get(as)?.end(new OrreryError("FOLLOWER_TAKEN_OVER"));
    this.#followers.set(as, follower);
    if (this.#isWelcome) follower.welcome();
    return {
      as,
      get epoch() {
        return follower.epoch;
      },
      ready: () => follower.ready(),
      stop: () => this.#unfollow(follower),
    };
  }

  async followers(): Promise<readonly FollowerStatus[]> {
    return (await this.#ask<FollowersReply>("hub:followers", {})).followers;
  }

  async forget(as: string): Promise<void> {
    await this.#ask("hub:forget", { as });
  }

  async parked(as: string): Promise<readonly Parked[]> {
    return (await this.#ask<ParkedReply>("hub:parked", { as })).parked;
  }

  async redrive(as: string, offset: number): Promise<void> {
    await this.#ask("hub:redrive", { as, offset });
  }

  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const refusal = this.#ended() ?? this.#listener.refusal;
      if (refusal !== undefined) return reject(refusal);
      this.#waitingForReady.push({ resolve, reject });
      this.#settleReady();
    });
  }

  async close({ drainMs = 2_000 }: { readonly drainMs?: number } = {}): Promise<void> {
    this.#listener.end();
    for (const follower of this.#followers.values()) follower.end();
    await this.#speaker.drained(drainMs);
    this.#happened({ kind: "closed" });
    await this.#ending;
  }

  async #unfollow(follower: Follower): Promise<void> {
    follower.end();
    await follower.idle();
    const { as } = follower;
    if (this.#followers.get(as) !== follower) return;
    this.#followers.delete(as);
    if (!this.#isWelcome) return;
    // A connection that is lost meanwhile has ended it as well.
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#socket.off("disconnect", done);
        resolve();
      };
      this.#socket.on("disconnect", done);
      this.#socket.emit("hub:unfollow", { as }, done);
    });
  }

  /**
   * Asks when the hub is there, again where the connection is lost meanwhile, and takes its answer within `askMs`. A refusal
   * rejects with its code.
   */
  async #ask<Reply extends { readonly ok: true } | Refused = DoneReply>(
    message: "hub:followers" | "hub:forget" | "hub:parked" | "hub:redrive",
    request: object,
  ): Promise<Extract<Reply, { readonly ok: true }>> {
    for (;;) {
      await this.ready();
      const reply = await this.#askOnce<Reply>(message, request);
      if (reply === undefined) continue;
      if (!reply.ok) throw OrreryError.from(reply.error);
      return reply as Extract<Reply, { readonly ok: true }>;
    }
  }

  /** Undefined: the connection was lost before the answer. */
  #askOnce<Reply>(message: string, request: object): Promise<Reply | undefined> {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        this.#socket.off("disconnect", lose);
      };
      const lose = () => {
        end();
        resolve(undefined);
      };
      const timer = setTimeout(() => {
        end();
        reject(new OrreryError("TIMEOUT"));
      }, askMs);
      this.#socket.on("disconnect", lose);
      this.#socket.emit(message as "hub:forget", request as never, (answer: unknown) => {
        end();
        resolve(answer as Reply);
      });
    });
  }

  #attach(): void {
    const socket = this.#socket;
    socket.on("connect", () => this.#happened({ kind: "connected" }));
    socket.on("hub:welcome", ({ limits }) => {
      this.#isWelcome = true;
      this.#listener.welcome();
      for (const follower of this.#followers.values()) follower.welcome();
      this.#speaker.welcome(limits);
      this.#settleReady();
    });
    socket.on("disconnect", (reason) => {
      this.#isWelcome = false;
      this.#listener.lose();
      for (const follower of this.#followers.values()) follower.lose();
      this.#speaker.lose();
      this.#happened({ kind: "disconnected", isByHub: reason === "io server disconnect" });
    });
    socket.on("connect_error", (error) => {
      const told = (error as { data?: ErrorBody }).data;
      if (told?.code !== undefined) this.#happened({ kind: "told", error: told, isHandshake: true });
    });
    socket.on("hub:gap", (gap) => {
      if (gap.as === undefined) this.#listener.skip(gap);
      this.#onGap(gap);
    });
    socket.on("hub:deliver", (delivery, ack) => {
      this.#followers.get(delivery.as)?.deliver(delivery, this.#onThisConnection(ack));
    });
    socket.on("hub:unfollowed", ({ as, error }) => this.#followers.get(as)?.unfollowed(error));
    socket.on("hub:close", (error) => this.#happened({ kind: "told", error, isHandshake: false }));
  }

  /** Socket.IO would send a late answer on the next connection, where it may answer something else. */
  #onThisConnection<Reply>(ack: Ack<Reply>): Ack<Reply> {
    const { id } = this.#socket;
    return (reply) => {
      if (this.#socket.id === id) ack(reply);
    };
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
    for (const follower of this.#followers.values())
      follower.end(ended?.code === "CLOSED" ? undefined : ended);
    this.#ending = this.#speaker.end(ended);
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
