import {
  type Cursor,
  type ErrorBody,
  type Gap,
  type HeardEntry,
  type ListenRequest,
  type Meta,
  OrreryError,
} from "@orrery/contracts";
import { type Handler, Handlers } from "./handlers.ts";
import type { HubSocket } from "./hub-socket.ts";
import { restFor } from "./packing.ts";

export interface ListenerOptions {
  readonly from: "now" | "start" | Cursor;
  readonly rooms: readonly string[] | undefined;
  readonly onError: (error: unknown, meta?: Meta) => void;
  /** Hears of a cursor that the hub does not know; of other gaps the hub tells. */
  readonly onGap: (gap: Gap) => void;
  /** All that is listened to is in effect, or, with an error, was refused. */
  readonly onSettled: (refusal?: OrreryError) => void;
}

/** What the hub takes for a cursor, of its log or not. */
const isCursor = (after: string): after is Cursor => /^[^:]+:\d{1,15}$/.test(after);

/** The hearing half of a satellite: its handlers, what the hub knows of them, and how far it has heard. */
export class Listener {
  readonly #socket: HubSocket;
  readonly #options: ListenerOptions;
  readonly #handlers: Handlers;
  #from: "now" | "start" | Cursor;
  #epoch: string | undefined;
  #offset = 0;
  /** A cursor that the hub does not know, until the user is told. */
  #unknown: Cursor | undefined;
  #isWelcome = false;
  /** Counts changes of what is listened to; which of them is in effect, and which was refused, on this connection. */
  #change = 0;
  #inEffect = -1;
  #refused: { readonly change: number; readonly reason: OrreryError } | undefined;
  /** One question at a time: what the next one asks for depends on the answer. */
  #isAsking = false;
  #isDue = false;
  #restTimer: ReturnType<typeof setTimeout> | undefined;
  /**
   * Events whose last values were not all heard yet: still to be asked for, asked for, or, since the hub has answered, on
   * their way.
   */
  readonly #fresh = new Map<string, "due" | "asked" | "coming">();

  constructor(socket: HubSocket, options: ListenerOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#from = options.from;
    this.#handlers = new Handlers((error, [, , meta]) => options.onError(error, meta));
    socket.on("hub:events", (entries, ack) => {
      for (const entry of entries) this.#hear(entry);
      ack?.(null);
    });
    socket.on("hub:reached", (offset) => {
      this.#offset = Math.max(this.#offset, offset);
    });
    socket.on("hub:latest", (entries, ack) => {
      for (const entry of entries) this.#handlers.hear(entry);
      if (entries.length === 0) this.#setFresh("coming", undefined);
      ack?.(null);
    });
  }

  get cursor(): Cursor | undefined {
    return this.#epoch === undefined ? undefined : `${this.#epoch}:${this.#offset}`;
  }

  /** Whether all that is listened to is in effect. */
  get isSettled(): boolean {
    return this.#inEffect === this.#change || this.#handlers.events.length === 0;
  }

  /** Why what is listened to now was refused. Until it changes, or the connection does, asking again is of no use. */
  get refusal(): OrreryError | undefined {
    return this.#refused?.change === this.#change ? this.#refused.reason : undefined;
  }

  add(event: string, handler: Handler): void {
    if (!this.#handlers.add(event, handler)) return;
    this.#fresh.set(event, "due");
    this.#listenSoon();
  }

  /** Without `handler`: all of the event's. */
  remove(event: string, handler?: Handler): void {
    if (!this.#handlers.remove(event, handler)) return;
    this.#fresh.delete(event);
    this.#listenSoon();
  }

  /** The hub is there. */
  welcome(): void {
    this.#isWelcome = true;
    this.#listen();
  }

  /** The connection is gone; what the hub knew of it, too. */
  lose(): void {
    this.#isWelcome = false;
    this.#isAsking = false;
    clearTimeout(this.#restTimer);
    this.#inEffect = -1;
    this.#refused = undefined;
    for (const event of this.#fresh.keys()) this.#fresh.set(event, "due");
  }

  end(): void {
    clearTimeout(this.#restTimer);
    for (const event of this.#handlers.events) this.#handlers.remove(event);
  }

  /** Nothing can be told of what lies before; of a gap by retention last values may still come. */
  skip({ reason, until }: Gap): void {
    if (reason === "epoch") this.#moveTo(until);
  }

  #hear(entry: HeardEntry): void {
    const { offset } = entry[2];
    if (offset !== undefined) {
      if (offset <= this.#offset) return; // heard already
      this.#offset = offset;
    }
    this.#handlers.hear(entry);
  }

  /** Tells the hub once for all changes of this turn. */
  #listenSoon(): void {
    this.#change += 1;
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      this.#listen();
    });
  }

  #listen(): void {
    const { events } = this.#handlers;
    if (!this.#isWelcome || this.#isAsking || this.refusal !== undefined) return;
    const isFirst = this.#inEffect === -1;
    if (this.#inEffect === this.#change || (isFirst && events.length === 0)) return this.#options.onSettled();
    if (events.length === 0) this.#forget();
    const { rooms } = this.#options;
    const after = this.cursor ?? this.#from;
    // Who begins at a place of the log hears the last values when they come.
    const isFromPlace = this.#epoch === undefined && isFirst && after !== "now";
    if (isFromPlace) this.#fresh.clear();
    const fresh = [...this.#fresh.keys()].filter((event) => this.#fresh.get(event) === "due");
    const request: ListenRequest = {
      events,
      ...(rooms !== undefined && { rooms }),
      ...(isFirst && after !== "now" && { after }),
      ...(!isFromPlace && { fresh }),
    };
    this.#setFresh("due", "asked");
    const change = this.#change;
    this.#isAsking = true;
    this.#socket.emit("hub:listen", request, (reply) => {
      if (!reply.ok && reply.error.retryable) return this.#rest(reply.error);
      this.#isAsking = false;
      if (reply.ok) this.#accept(reply.cursor, change);
      else this.#refuse(OrreryError.from(reply.error), change, request);
      this.#listen();
    });
  }

  /** Refused for now: asks again when it may, for what is listened to by then. */
  #rest(error: ErrorBody): void {
    this.#setFresh("asked", "due");
    this.#restTimer = setTimeout(() => {
      this.#isAsking = false;
      this.#listen();
    }, restFor(error));
  }

  #accept(cursor: Cursor, change: number): void {
    const isFirst = this.#inEffect === -1;
    this.#inEffect = change;
    this.#setFresh("asked", "coming");
    if (isFirst || this.#epoch === undefined) this.#moveTo(cursor);
    const unknown = this.#unknown;
    this.#unknown = undefined;
    if (unknown !== undefined) this.#options.onGap({ reason: "epoch", after: unknown, until: cursor });
  }

  /**
   * A cursor beyond the log's end, although of its epoch: the log was put back to an older state and has gone on from there.
   * To who holds it that is another log, so it is a gap, and what is there is heard from its start.
   */
  #refuse(reason: OrreryError, change: number, { after = "start" }: ListenRequest): void {
    this.#setFresh("asked", "due");
    if (reason.code === "CURSOR_INVALID" && isCursor(after)) {
      this.#unknown = after;
      this.#epoch = undefined;
      this.#from = "start";
      return;
    }
    this.#refused = { change, reason };
    this.#options.onError(reason);
    if (this.refusal !== undefined) this.#options.onSettled(reason);
  }

  #setFresh(before: "due" | "asked" | "coming", after: "due" | "asked" | "coming" | undefined): void {
    for (const [event, state] of this.#fresh) {
      if (state !== before) continue;
      if (after === undefined) this.#fresh.delete(event);
      else this.#fresh.set(event, after);
    }
  }

  #moveTo(cursor: Cursor): void {
    const colon = cursor.indexOf(":");
    this.#epoch = cursor.slice(0, colon);
    this.#offset = Number(cursor.slice(colon + 1));
  }

  /** Nobody listens any more: who starts again, starts from then on. */
  #forget(): void {
    this.#epoch = undefined;
    this.#from = "now";
  }
}
