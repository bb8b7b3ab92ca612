import {
  type Cursor,
  type Gap,
  type HeardEntry,
  type ListenReply,
  type ListenRequest,
  type Meta,
  OrreryError,
} from "@orrery/contracts";
import { type Handler, Handlers } from "./handlers.ts";
import type { HubSocket } from "./hub-socket.ts";

export interface ListenerOptions {
  readonly from: "now" | "start" | Cursor;
  readonly rooms: readonly string[] | undefined;
  readonly onError: (error: unknown, meta?: Meta) => void;
  /** What is listened to is in effect, or, with an error, was refused. */
  readonly onSettled: (refusal?: OrreryError) => void;
}

/** The hearing half of a satellite: its handlers, what the hub knows of them, and how far it has heard. */
export class Listener {
  readonly #socket: HubSocket;
  readonly #options: ListenerOptions;
  readonly #handlers: Handlers;
  #from: "now" | "start" | Cursor;
  #epoch: string | undefined;
  #offset = 0;
  #isWelcome = false;
  /** Counts changes of what is listened to; which of them went out, and which were answered, on this connection. */
  #change = 0;
  #sent = -1;
  #answered = -1;
  #isDue = false;
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

  /** Whether the hub knows all that is listened to. */
  get isSettled(): boolean {
    return this.#answered === this.#change || this.#handlers.events.length === 0;
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
    this.#sent = -1;
    this.#answered = -1;
    for (const event of this.#fresh.keys()) this.#fresh.set(event, "due");
  }

  end(): void {
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
    const isFirst = this.#sent === -1;
    if (!this.#isWelcome || this.#sent === this.#change || (isFirst && events.length === 0)) return;
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
    this.#sent = change;
    this.#socket.emit("hub:listen", request, (reply) => this.#settle(reply, change, isFirst));
  }

  #settle(reply: ListenReply, change: number, isFirst: boolean): void {
    if (!reply.ok) {
      const refusal = OrreryError.from(reply.error);
      this.#options.onError(refusal);
      return this.#options.onSettled(refusal);
    }
    this.#answered = change;
    this.#setFresh("asked", "coming");
    if (isFirst || this.#epoch === undefined) this.#moveTo(reply.cursor);
    this.#options.onSettled();
  }

  #setFresh(before: "due" | "asked" | "coming", after: "asked" | "coming" | undefined): void {
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
