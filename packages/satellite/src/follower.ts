import {
  type Ack,
  type Cursor,
  type Delivery,
  type DeliveryReply,
  type ErrorBody,
  type FollowRequest,
  type Gap,
  type HeardEntry,
  type Meta,
  OrreryError,
} from "@orrery/contracts";
import { backoffMs, pause } from "./backoff.ts";
import type { HubSocket } from "./hub-socket.ts";
import { KeyedQueue } from "./keyed-queue.ts";
import { restFor } from "./packing.ts";

export type FollowHandler = (data: never, meta: Meta) => void | Promise<void>;

export interface FollowerOptions {
  readonly request: FollowRequest;
  readonly concurrency: number;
  readonly attempts: number;
  readonly backoffMs: number;
  readonly handler: FollowHandler;
  readonly onError: (error: unknown, meta?: Meta) => void;
  readonly onGap: (gap: Gap) => void;
  readonly onEnd: (reason: OrreryError) => void;
}

/** What became of one event. `skipped`: the follower ended before its turn, so it comes again. */
type Outcome =
  | "handled"
  | "skipped"
  | { readonly offset: number; readonly attempts: number; readonly error: string };

const isSettled = (outcome: Outcome | Promise<Outcome>): outcome is Outcome => !(outcome instanceof Promise);

/** Outcomes that are remembered, so that what comes again after a lost connection is not handled again. */
const remembered = 10_000;
const longestBackoffMs = 10_000;

/** The satellite's end of one follower: hands events to the handler and answers when they are done. */
export class Follower {
  readonly #socket: HubSocket;
  readonly #options: FollowerOptions;
  readonly #queue: KeyedQueue;
  /** By offset, in two generations: dropping the older one costs nothing, where dropping one by one cost 10 µs an event. */
  #outcomes = new Map<number, Outcome | Promise<Outcome>>();
  #olderOutcomes = new Map<number, Outcome | Promise<Outcome>>();
  readonly #ending = new AbortController();
  #openDeliveries = 0;
  #whenIdle: (() => void)[] = [];
  #state: "waiting" | "following" | "ended" = "waiting";
  /** Where the hub said that deliveries begin, on the latest connection. */
  #cursor: Cursor | undefined;
  #waitingForReady: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #restTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: HubSocket, options: FollowerOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#queue = new KeyedQueue(options.concurrency);
  }

  get as(): string {
    return this.#options.request.as;
  }

  /** The identity of the log that it follows; undefined before `ready`. */
  get epoch(): string | undefined {
    return this.#cursor?.slice(0, this.#cursor.indexOf(":"));
  }

  get isEnded(): boolean {
    return this.#state === "ended";
  }

  /** Resolves when the hub knows of it. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#state === "following") resolve();
      else if (this.#state === "ended") reject(new OrreryError("CLOSED"));
      else this.#waitingForReady.push({ resolve, reject });
    });
  }

  /** The hub is there. */
  welcome(): void {
    if (this.isEnded) return;
    this.#socket.emit("hub:follow", this.#options.request, (reply) => {
      if (this.isEnded) return;
      if (!reply.ok) return this.#refused(reply.error);
      this.#begin(reply.cursor);
      this.#state = "following";
      for (const { resolve } of this.#waitingForReady.splice(0)) resolve();
    });
  }

  #begin(cursor: Cursor): void {
    const before = this.#cursor;
    const { epoch } = this;
    this.#cursor = cursor;
    if (before === undefined || epoch === this.epoch) return;
    // The hub has another log: its offsets tell of other events.
    this.#outcomes.clear();
    this.#olderOutcomes.clear();
    this.#options.onGap({ reason: "epoch", after: before, until: cursor, as: this.as });
  }

  lose(): void {
    clearTimeout(this.#restTimer);
    if (!this.isEnded) this.#state = "waiting";
  }

  #refused(error: ErrorBody): void {
    if (!error.retryable) return this.end(OrreryError.from(error));
    clearTimeout(this.#restTimer);
    this.#restTimer = setTimeout(() => this.welcome(), restFor(error));
  }

  deliver({ events }: Delivery, ack: Ack<DeliveryReply>): void {
    const outcomes = events.map((entry) => this.#outcomeOf(entry));
    if (outcomes.every(isSettled)) return this.#answer(outcomes, ack);
    this.#openDeliveries += 1;
    void Promise.all(outcomes.map(async (outcome) => outcome)).then((settled) => {
      this.#answer(settled, ack);
      this.#openDeliveries -= 1;
      if (this.#openDeliveries === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    });
  }

  /** What was skipped comes again, and so the whole delivery does. */
  #answer(outcomes: readonly Outcome[], ack: Ack<DeliveryReply>): void {
    if (outcomes.includes("skipped")) return;
    const parked = outcomes.filter((outcome) => typeof outcome === "object");
    ack(parked.length === 0 ? {} : { parked });
  }

  /** The hub has ended it, or refused it. */
  unfollowed(error: ErrorBody): void {
    const reason = OrreryError.from(error);
    if (reason.retryable) this.welcome();
    else this.end(reason);
  }

  /** No event is handed out any more. `reason` where it was not asked for. */
  end(reason?: OrreryError): void {
    if (this.isEnded) return;
    clearTimeout(this.#restTimer);
    this.#state = "ended";
    this.#ending.abort();
    for (const { reject } of this.#waitingForReady.splice(0)) reject(reason ?? new OrreryError("CLOSED"));
    if (reason !== undefined) this.#options.onEnd(reason);
  }

  /** Resolves when no handler runs, and what is handled was answered. */
  async idle(): Promise<void> {
    if (this.#openDeliveries > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #outcomeOf(entry: HeardEntry): Outcome | Promise<Outcome> {
    const { offset = 0, subject } = entry[2];
    const known = this.#outcomes.get(offset) ?? this.#olderOutcomes.get(offset);
    if (known !== undefined) return known;
    // One at a time means in the order of the log, too.
    const key = this.#options.concurrency === 1 ? "" : subject;
    const outcome = this.#queue.run(key, () => this.#handle(entry, 1));
    this.#outcomes.set(offset, outcome);
    if (this.#outcomes.size > remembered) {
      this.#olderOutcomes = this.#outcomes;
      this.#outcomes = new Map();
    }
    return outcome;
  }

  #handle(entry: HeardEntry, attempt: number): Outcome | Promise<Outcome> {
    if (this.#ending.signal.aborted) return "skipped";
    const [, data, meta] = entry;
    try {
      const result = this.#options.handler(data as never, { ...meta, attempt });
      if (!(result instanceof Promise)) return "handled";
      return result.then(
        () => "handled",
        (error) => this.#failed(entry, attempt, error),
      );
    } catch (error) {
      return this.#failed(entry, attempt, error);
    }
  }

  async #failed(entry: HeardEntry, attempt: number, error: unknown): Promise<Outcome> {
    const [, , meta] = entry;
    this.#options.onError(error, { ...meta, attempt });
    if (attempt >= this.#options.attempts) return this.#park(meta, attempt, error);
    await pause(backoffMs(attempt, this.#options.backoffMs, longestBackoffMs), this.#ending.signal);
    return this.#handle(entry, attempt + 1);
  }

  #park({ offset = 0 }: Meta, attempts: number, error: unknown): Outcome {
    this.#outcomes.delete(offset); // a redrive hands it out again
    this.#olderOutcomes.delete(offset);
    return { offset, attempts, error: error instanceof Error ? error.message : String(error) };
  }
}
