import type {
  Contract,
  Cursor,
  DataIn,
  DataOut,
  DeadEvent,
  EventName,
  FollowerStatus,
  Gap,
  GroupStatus,
  HistoryEntry,
  KeepOf,
  Meta,
  OrreryError,
  Parked,
  QuestionName,
  ReceiptOf,
  ReplyOut,
  RoleOf,
  SatelliteStatus,
} from "@orrery/contracts";
import type { AnswerHandlerOf, Answering, AnswerOptions } from "./answerer.ts";
import type { Status } from "./connection.ts";
import type { OutboxOptions } from "./outbox-store.ts";
import type { PresenceHandlers, Watching } from "./presence.ts";
import type { Answers, AskManyOptions, AskOneOptions } from "./questions.ts";
import type { SayOptions } from "./speaker.ts";
import type { Credentials } from "./token.ts";
import type { WorkHandlerOf, Working, WorkOptions } from "./work-context.ts";

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
   * answered, or at the end of the time, with the answers that came, and who did not answer; where nobody answers it there,
   * at once, and both lists are empty. Rejects with an `OrreryError`: the hub's refusal, `TIMEOUT`, `CONNECTION_LOST`, or
   * `CLOSED`.
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
   * The satellites that are connected, by name, and how they stand. Each is one, however many connections it has. Of its rooms the
   * first 100 are told; where it has more, `roomCount` says how many. Rejects with `FORBIDDEN` where the contract's `presence` does
   * not name this one's role.
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
