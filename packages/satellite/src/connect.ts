import {
  type Ack,
  type Contract,
  type Cursor,
  type DataIn,
  type DataOut,
  type DeadEvent,
  type DeadReply,
  type DoneReply,
  type ErrorBody,
  type EventName,
  type FollowerStatus,
  type FollowersReply,
  type FollowRequest,
  type Gap,
  type GroupStatus,
  type GroupsReply,
  type HistoryEntry,
  type HistoryReply,
  type KeepOf,
  type Meta,
  OrreryError,
  type Parked,
  type ParkedReply,
  protocolVersion,
  type QuestionName,
  type ReceiptOf,
  type Refused,
  type ReplyOut,
  type RoleOf,
  type SatelliteStatus,
  type Welcome,
  type WhoReply,
} from "@orrery/contracts";
import { parser } from "@orrery/contracts/packet-text";
import { io } from "socket.io-client";
import { openOutboxStore } from "#outbox-store";
import type { AnswerHandler, AnswerHandlerOf, Answering, AnswerOptions } from "./answerer.ts";
import { backoffMs } from "./backoff.ts";
import { type Connection, type ConnectionInput, type Status, step } from "./connection.ts";
import { Follower, type FollowHandler } from "./follower.ts";
import type { Handler } from "./handlers.ts";
import { httpRefusal } from "./http-refusal.ts";
import type { HubSocket } from "./hub-socket.ts";
import { Listener } from "./listener.ts";
import type { OutboxOptions } from "./outbox-store.ts";
import { restFor } from "./packing.ts";
import { Presence, type PresenceHandlers, type Watching } from "./presence.ts";
import { type Answers, type AskManyOptions, type AskOneOptions, Questions } from "./questions.ts";
import { type SayOptions, Speaker } from "./speaker.ts";
import type { Credentials } from "./token.ts";
import { TokenKeeper, tokenUnavailable } from "./token-keeper.ts";
import type { WorkHandlerOf, Working, WorkOptions } from "./work-context.ts";
import { Worker, type WorkHandler } from "./worker.ts";

/** Where the hub is, who the satellite is, and how it is to behave. */
export type ConnectOptions<C extends Contract> = SatelliteOptions & Credentials<C>;

export interface SatelliteOptions {
  /** Where the hub is: `http://127.0.0.1:4170`. */
  readonly url: string;
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
  /**
   * Hears of every change of the status, and, while there is no connection, of why there is none; `reason` is why the hub refused
   * or closed the connection, or refused an `on`.
   */
  readonly onStatus?: (status: Status, reason?: OrreryError) => void;
  /**
   * Hears of what a handler throws (`meta` is its event's), of a refused `on`, of an outbox that cannot be kept, and, with
   * `TOKEN_UNAVAILABLE`, of a token function that fails or gives what the hub refuses; it is asked again. Default:
   * `console.error`.
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
  /**
   * The events that the name's handler failed on for good, in the order of the log: as many `after` an offset as one message of the
   * hub takes. Default 0. Where none comes there are no more.
   */
  parked(as: string, after?: number): Promise<readonly Parked[]>;
  /** Hands a parked event out once more. It stays parked until it is handled; `FOLLOWER_AWAY` where nobody follows. */
  redrive(as: string, offset: number): Promise<void>;
  /**
   * Works on events together with all satellites of its role that name the same group: each event goes to one of them, one at a
   * time per key, as long as it has room. A handler that returns has done it, one that throws makes it be tried again, later
   * each time, perhaps elsewhere, and after `attempts` it is dead, as with `DeadError` at once; then its key goes on. An event
   * is worked on again wherever that is not known to be over: handlers say what comes of it with the context's `emit` and
   * `done`, which happen once. One `work` per group and satellite: a second one throws `CONFIG_INVALID`, as does a capacity out
   * of range; `CLOSED` after `close`.
   */
  work<N extends EventName<C>>(
    events: N | readonly N[],
    options: WorkOptions,
    handler: WorkHandlerOf<C, N>,
  ): Working;
  /** The groups of this satellite's role, and how they stand. */
  groups(): Promise<readonly GroupStatus[]>;
  /**
   * The events that a group has given up, in the order of the log: the first 1,000 `after` an offset, or, where they are
   * longer than one message of the hub, fewer. Default 0. Where none comes there are no more.
   */
  dead(group: string, after?: number): Promise<readonly DeadEvent[]>;
  /** Gives a dead event a new life, once: it is handed out again with its attempts from 1. `NOT_DEAD` where it is not. */
  redriveDead(group: string, offset: number): Promise<void>;
  /** Removes a dead event from its group's list for good. `NOT_DEAD` where it is not. */
  drop(group: string, offset: number): Promise<void>;
  /**
   * Removes a group: its place in the log, its claims and its dead events. Whoever works in it is told `GROUP_UNKNOWN`. One that
   * is named again later begins anew, its tokens too.
   */
  forgetGroup(group: string): Promise<void>;
  /** What happened to a key: its events that the role may hear, and what groups made of them. */
  history(key: string): Promise<readonly HistoryEntry[]>;
  /**
   * Asks one satellite, `{ to: { satellite: "driver:d1" } }`, and resolves with its answer; the hub has checked both. Nothing
   * is kept, and nothing asked again. Rejects with an `OrreryError`: `NOBODY_THERE`, `TIMEOUT`, `ANSWERER_BUSY`,
   * `ANSWER_FAILED` with the satellite's own words, `ANSWER_INVALID`, `CONNECTION_LOST`, the hub's refusal, or `CLOSED`.
   */
  ask<N extends QuestionName<C>>(
    question: N,
    data: DataIn<C, N>,
    options: AskOneOptions,
  ): Promise<ReplyOut<C, N>>;
  /**
   * Asks all satellites of a role, or in a room, that answer the question, this one too if it does. Resolves when all have
   * answered, or at the end of the time, with the answers that came, and who did not answer. Rejects only where nobody was
   * asked, or nothing was heard of it any more.
   */
  ask<N extends QuestionName<C>>(
    question: N,
    data: DataIn<C, N>,
    options: AskManyOptions<C>,
  ): Promise<Answers<ReplyOut<C, N>>>;
  /**
   * Answers a question with what `handler` returns. What it throws goes to `onError`, and its message to the asker. Several
   * calls may run at once. One handler per question: a second one throws `CONFIG_INVALID`; `CLOSED` after `close`.
   */
  answer<N extends QuestionName<C>>(
    question: N,
    handler: AnswerHandlerOf<C, N>,
    options?: AnswerOptions,
  ): Answering;
  /**
   * The satellites that are connected, by name, and how they stand. Each is one, however many connections it has. Rejects with
   * `FORBIDDEN` where the contract's `presence` does not name this one's role.
   */
  who(): Promise<readonly SatelliteStatus<RoleOf<C>>[]>;
  /**
   * Watches who comes and who goes. After a lost connection, or a hub that started again, it tells what is different. What a
   * handler throws goes to `onError`, and so does a refusal: `FORBIDDEN`. One at a time: a second one throws
   * `CONFIG_INVALID`; `CLOSED` after `close`.
   */
  watchPresence(handlers: PresenceHandlers<C>): Watching;
  /** Resolves when the satellite is online and hears all it listens to; rejects when it, or that, was refused, or closed. */
  ready(): Promise<void>;
  /**
   * Hears and takes nothing more, waits for handlers of `work` and `answer` that run and for receipts that are still due, but no longer
   * than `drainMs` (default 2_000) together, then disconnects. What has no receipt by then rejects with `CLOSED`; what is
   * still worked on is lost to this satellite, and goes to another one a little later.
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
/** Before a connection that the hub ended, or refused for now, is made again; and before any further try. Milliseconds. */
const firstReconnectMs = 500;
const longestReconnectMs = 10_000;

/** Messages that the hub answers, and that change nothing here. */
type Question =
  | "hub:followers"
  | "hub:forget"
  | "hub:parked"
  | "hub:redrive"
  | "hub:groups"
  | "hub:dead"
  | "hub:drop"
  | "hub:history"
  | "hub:who";

class ConnectedSatellite<C extends Contract> implements Satellite<C> {
  readonly #onStatus: SatelliteOptions["onStatus"];
  readonly #socket: HubSocket;
  /** Where there is a token function. */
  readonly #tokens: TokenKeeper | undefined;
  readonly #speaker: Speaker;
  readonly #listener: Listener;
  readonly #onError: (error: unknown, meta?: Meta) => void;
  readonly #onGap: (gap: Gap) => void;
  readonly #followers = new Map<string, Follower>();
  readonly #workers = new Map<string, Worker>();
  readonly #questions: Questions;
  readonly #presence: Presence;
  #connection: Connection = { status: "connecting" };
  #ending: Promise<void> | undefined;
  #welcome: Welcome | undefined;
  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  /** Tries in a row that `#reconnectTimer` was for. */
  #reconnects = 0;
  /** Connections so far that are gone, made or not. */
  #connectionsLost = 0;
  #waitingForReady: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  constructor(contract: C, options: ConnectOptions<C>) {
    const { url, role, id, token, rooms, from, outbox, outboxEvents, onStatus, onError, onGap } = options;
    this.#onStatus = onStatus;
    this.#onError = onError ?? ((error) => console.error(error));
    this.#onGap = onGap ?? ((gap) => console.warn("events are missing", gap));
    if (typeof token === "function") {
      this.#tokens = new TokenKeeper({
        give: token,
        renew: (token) => this.#askOnce("hub:renew", { token }),
        onError: this.#onError,
      });
    }
    const identity = token === undefined ? { role, id } : { token };
    const store = outbox && openOutboxStore(outbox);
    this.#socket = io(`${url.replace(/\/$/, "")}/${contract.name}`, {
      auth:
        this.#tokens === undefined
          ? { ...identity, protocol: protocolVersion }
          : (send: (auth: object) => void) => void this.#showToken(send),
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      forceNew: true,
      timeout: 5_000, // Socket.IO's default of 20 s is long to wait for a handshake that was lost on the way
      reconnectionDelay: 200,
      reconnectionDelayMax: 2_000,
      parser,
    });
    this.#speaker = new Speaker(this.#socket, outboxEvents ?? 10_000, store, this.#onError);
    this.#questions = new Questions(this.#socket, this.#onError);
    this.#presence = new Presence(this.#socket, this.#onError);
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
    if (this.#welcome !== undefined) follower.welcome();
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

  async parked(as: string, after = 0): Promise<readonly Parked[]> {
    return (await this.#ask<ParkedReply>("hub:parked", { as, after })).parked;
  }

  async redrive(as: string, offset: number): Promise<void> {
    await this.#ask("hub:redrive", { as, offset });
  }

  work<N extends EventName<C>>(
    events: N | readonly N[],
    { group, capacity, leaseMs, attempts, backoffMs, from, rooms, onEnd = this.#onError }: WorkOptions,
    handler: WorkHandlerOf<C, N>,
  ): Working {
    const ended = this.#ended();
    if (ended !== undefined) throw ended;
    if (this.#workers.get(group)?.isEnded === false) {
      const detail = `This satellite works in "${group}" already: stop that first, or change its capacity.`;
      throw new OrreryError("CONFIG_INVALID", { detail });
    }
    const worker = new Worker(this.#socket, {
      request: {
        group,
        events: typeof events === "string" ? [events] : events,
        ...(leaseMs !== undefined && { leaseMs }),
        ...(attempts !== undefined && { attempts }),
        ...(backoffMs !== undefined && { backoffMs }),
        ...(from !== undefined && { from }),
        ...(rooms !== undefined && { rooms }),
      },
      capacity,
      handler: handler as unknown as WorkHandler,
      speaker: this.#speaker,
      onError: this.#onError,
      onEnd,
    });
    this.#workers.set(group, worker);
    if (this.#welcome !== undefined) worker.welcome(this.#welcome);
    return {
      group,
      get capacity() {
        return worker.capacity;
      },
      set capacity(changed) {
        worker.capacity = changed;
      },
      ready: () => worker.ready(),
      stop: () => worker.stop(),
    };
  }

  async groups(): Promise<readonly GroupStatus[]> {
    return (await this.#ask<GroupsReply>("hub:groups", {})).groups;
  }

  async dead(group: string, after = 0): Promise<readonly DeadEvent[]> {
    return (await this.#ask<DeadReply>("hub:dead", { group, after })).dead;
  }

  async redriveDead(group: string, offset: number): Promise<void> {
    await this.#ask("hub:redrive", { group, offset });
  }

  async drop(group: string, offset: number): Promise<void> {
    await this.#ask("hub:drop", { group, offset });
  }

  async forgetGroup(group: string): Promise<void> {
    await this.#ask("hub:forget", { group });
  }

  async history(key: string): Promise<readonly HistoryEntry[]> {
    const entries: HistoryEntry[] = [];
    let request: { readonly key: string; readonly after?: string } | undefined = { key };
    while (request !== undefined) {
      const page: Extract<HistoryReply, { readonly ok: true }> = await this.#ask<HistoryReply>(
        "hub:history",
        request,
      );
      entries.push(...page.entries);
      request = page.next === undefined ? undefined : { key, after: page.next };
    }
    return entries;
  }

  async ask(question: string, data: unknown, options: AskOneOptions | AskManyOptions<C>): Promise<never> {
    const ended = this.#ended();
    if (ended !== undefined) throw ended;
    const { answers, silent } = await this.#questions.ask(question, data, options);
    if (options.to.satellite !== undefined) return answers[0]?.data as never;
    return {
      answers,
      silent: silent.map(({ from, error }) => ({ from, error: OrreryError.from(error) })),
    } as never;
  }

  answer<N extends QuestionName<C>>(
    question: N,
    handler: AnswerHandlerOf<C, N>,
    { rooms }: AnswerOptions = {},
  ): Answering {
    const ended = this.#ended();
    if (ended !== undefined) throw ended;
    const request = { event: question, ...(rooms !== undefined && { rooms }) };
    return this.#questions.answer(request, handler as AnswerHandler);
  }

  async who(): Promise<readonly SatelliteStatus<RoleOf<C>>[]> {
    const satellites: SatelliteStatus[] = [];
    let after: string | undefined = "";
    while (after !== undefined) {
      const page: Extract<WhoReply, { readonly ok: true }> = await this.#ask<WhoReply>("hub:who", { after });
      satellites.push(...page.satellites);
      after = page.next;
    }
    return satellites;
  }

  watchPresence(handlers: PresenceHandlers<C>): Watching {
    const ended = this.#ended();
    if (ended !== undefined) throw ended;
    return this.#presence.watch(handlers);
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
    this.#presence.end();
    const untilMs = performance.now() + drainMs;
    await this.#stopHandlers(drainMs);
    await this.#speaker.drained(untilMs - performance.now());
    this.#happened({ kind: "closed" });
    await this.#ending;
  }

  async #stopHandlers(mostMs: number): Promise<void> {
    const stopping = [...this.#workers.values()].map((worker) => worker.stop());
    if (this.#questions.isAnswering) stopping.push(this.#questions.stop());
    if (stopping.length === 0 || mostMs <= 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tooLong = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, mostMs);
    });
    await Promise.race([Promise.all(stopping), tooLong]);
    clearTimeout(timer);
  }

  async #unfollow(follower: Follower): Promise<void> {
    follower.end();
    await follower.idle();
    const { as } = follower;
    if (this.#followers.get(as) !== follower) return;
    this.#followers.delete(as);
    if (this.#welcome === undefined) return;
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
   * Asks when the hub is there, again where the connection is lost meanwhile or the hub says when it may be asked, and takes its
   * answer within `askMs`. Any other refusal rejects with its code.
   */
  async #ask<Reply extends { readonly ok: true } | Refused = DoneReply>(
    message: Question,
    request: object,
  ): Promise<Extract<Reply, { readonly ok: true }>> {
    for (;;) {
      await this.ready();
      const reply = await this.#askOnce<Reply>(message, request);
      if (reply === undefined) continue;
      if (reply.ok) return reply as Extract<Reply, { readonly ok: true }>;
      if (reply.error.retryAfterMs === undefined) throw OrreryError.from(reply.error);
      await this.#rest(reply.error);
    }
  }

  /** Resolves when what was refused may be asked again, or when the connection is gone. */
  #rest(error: ErrorBody): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#socket.off("disconnect", end);
        resolve();
      };
      const timer = setTimeout(end, restFor(error));
      this.#socket.on("disconnect", end);
    });
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
    socket.io.on("close", () => {
      this.#connectionsLost += 1;
    });
    socket.on("hub:welcome", (welcome) => {
      this.#welcome = welcome;
      this.#tokens?.begin();
      this.#listener.welcome();
      for (const follower of this.#followers.values()) follower.welcome();
      for (const worker of this.#workers.values()) worker.welcome(welcome); // before what is said under its claims
      this.#speaker.welcome(welcome.limits);
      this.#questions.welcome(welcome.limits.messageBytes);
      this.#presence.welcome();
      this.#settleReady();
    });
    socket.on("disconnect", (reason) => {
      this.#welcome = undefined;
      this.#tokens?.lose();
      this.#listener.lose();
      for (const follower of this.#followers.values()) follower.lose();
      for (const worker of this.#workers.values()) worker.lose();
      this.#speaker.lose();
      this.#questions.lose();
      this.#presence.lose();
      this.#happened({ kind: "disconnected", isByHub: reason === "io server disconnect" });
    });
    socket.on("connect_error", (error) => {
      const told = (error as { data?: ErrorBody }).data;
      const early = httpRefusal(error);
      if (told?.code !== undefined) this.#refused(told);
      // Socket.IO's client tries again by itself.
      else if (early !== undefined) this.#told(early, false);
    });
    socket.on("hub:gap", (gap) => {
      if (gap.as === undefined && gap.group === undefined) this.#listener.skip(gap);
      this.#onGap(gap);
    });
    socket.on("hub:deliver", (delivery, ack) => {
      this.#followers.get(delivery.as)?.deliver(delivery, this.#onThisConnection(ack));
    });
    socket.on("hub:unfollowed", ({ as, error }) => this.#followers.get(as)?.unfollowed(error));
    socket.on("hub:claims", ({ group, claims }) => this.#workers.get(group)?.claims(claims));
    socket.on("hub:lost", ({ group, offsets }) => this.#workers.get(group)?.lost(offsets));
    socket.on("hub:unworked", ({ group, error }) => this.#workers.get(group)?.unworked(error));
    socket.on("hub:close", (error) => this.#told(error, false));
  }

  /** Socket.IO asks at each connection; what comes when that is gone would go out a second time on the next one. */
  async #showToken(send: (auth: object) => void): Promise<void> {
    const connection = this.#connectionsLost;
    try {
      const token = await this.#tokens?.show();
      if (connection === this.#connectionsLost) send({ token, protocol: protocolVersion });
    } catch (error) {
      if (connection !== this.#connectionsLost) return;
      this.#socket.disconnect(); // a hub need not wait meanwhile
      this.#happened({ kind: "no-token" });
      this.#onError(error);
    }
  }

  #refused(error: ErrorBody): void {
    this.#told(error, true);
    if (error.code === "TOKEN_EXPIRED" && this.#tokens !== undefined)
      this.#onError(tokenUnavailable(OrreryError.from(error)));
  }

  #told(error: ErrorBody, isHandshake: boolean): void {
    this.#happened({ kind: "told", error, isHandshake, hasNewToken: this.#tokens !== undefined });
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
    if (input.kind === "connected") this.#reconnects = 0;
    if (effect === "reconnect") this.#reconnect();
    if (effect === "end") this.#end();
    const isApart = after.status === "connecting" || after.status === "offline";
    const isToldWhy = isApart && after.reason?.code !== before.reason?.code;
    if (after.status !== before.status || isToldWhy) this.#onStatus?.(after.status, after.reason);
  }

  #reconnect(): void {
    this.#reconnects += 1;
    clearTimeout(this.#reconnectTimer);
    const ms = backoffMs(this.#reconnects, firstReconnectMs, longestReconnectMs);
    this.#reconnectTimer = setTimeout(() => this.#socket.connect(), ms);
  }

  #end(): void {
    this.#tokens?.end();
    clearTimeout(this.#reconnectTimer);
    const ended = this.#ended();
    this.#questions.end(ended);
    this.#presence.end(ended);
    this.#socket.disconnect();
    for (const follower of this.#followers.values())
      follower.end(ended?.code === "CLOSED" ? undefined : ended);
    for (const worker of this.#workers.values()) worker.end(ended?.code === "CLOSED" ? undefined : ended);
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
    if (refusal === undefined && !(this.#welcome !== undefined && this.#listener.isSettled)) return;
    for (const { resolve, reject } of this.#waitingForReady.splice(0)) {
      if (refusal === undefined) resolve();
      else reject(refusal);
    }
  }
}
