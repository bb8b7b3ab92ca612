import type { Cursor, HeardEntry } from "@orrery/contracts";
import type { Parcel } from "@orrery/contracts/parcels";
import { WebSocket } from "ws";
import { placeOf } from "./parcel.ts";

/** `batched`: as the satellite package hears. `plain`: as any Socket.IO client does. */
export type Form = "batched" | "plain";

/** A message with events, looked into. */
interface Message {
  readonly bytes: Buffer;
  readonly events: number;
  /** Of each emitter in it: the first and the last of its events, with none left out between. */
  readonly runs: readonly Run[];
}

export interface Run {
  readonly emitter: number;
  readonly first: number;
  last: number;
}

interface Listener {
  /** By emitter: the last of its events that was heard. */
  readonly last: number[];
}

/**
 * Many listeners for the price of one: they speak Engine.IO and Socket.IO by hand, and since the hub sends all of them the
 * same bytes, a message is parsed once and then only compared. Each of them is still checked for itself: every event, once,
 * and each emitter's in order.
 */
export class RawListeners {
  /** Called at every message, when it was counted, with the runs of events in it. */
  onMessage: (runs: readonly Run[]) => void = () => undefined;
  /** Whether the log also takes events that nobody here listens to, so that offsets have holes. */
  hasHoles = false;
  readonly #sockets: WebSocket[] = [];
  readonly #known = new Map<string, Message>();
  #heard = 0;
  #fault: string | undefined;
  #waiting: { events: number; resolve: () => void; reject: (error: Error) => void } | undefined;

  /** Events heard, over all listeners. */
  get heard(): number {
    return this.#heard;
  }

  get count(): number {
    return this.#sockets.length;
  }

  /** Resolves when all of them hear. Not all at once: a listening server's backlog has an end. */
  async connect(url: string, form: Form, count: number): Promise<void> {
    for (let listener = 0; listener < count; listener += 1) await this.#connectOne(url, form, listener);
  }

  /** As satellites that were away: all at once, each from its cursor. Resolves when all of them are listened to. */
  async comeBack(url: string, count: number, after: Cursor): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, (_, listener) => this.#connectOne(url, "batched", listener, after)),
    );
  }

  /** The last one to connect reads nothing, not even a close, until `resume`. */
  pause(): void {
    this.#sockets.at(-1)?.pause();
  }

  resume(): void {
    this.#sockets.at(-1)?.resume();
  }

  /** Resolves when `events` were heard, over all listeners; rejects when they came out of order or came twice. */
  async until(events: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#waiting = { events, resolve, reject };
      this.#settle();
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  async #connectOne(url: string, form: Form, number: number, after?: Cursor): Promise<void> {
    const request = JSON.stringify({ events: ["pickup"], ...(after !== undefined && { after }) });
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, {
      perMessageDeflate: false,
      skipUTF8Validation: true,
    });
    this.#sockets.push(socket);
    await new Promise<void>((resolve, reject) => {
      const listener: Listener = { last: [] };
      const auth = { role: "logger", id: `l${number}`, ...(form === "batched" && { protocol: 1 }) };
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("the server closed a listener's connection")));
      socket.on("message", (data) => {
        const bytes = data as Buffer;
        const start = bytes.toString("latin1", 0, 12);
        if (start.startsWith("42/parcels,")) {
          const content = bytes.indexOf("[");
          const ackId = bytes.toString("latin1", 11, content);
          this.#hear(listener, bytes.subarray(content));
          // While it catches up: the next page comes when this one was answered.
          if (ackId !== "") socket.send(`43/parcels,${ackId}[null]`);
          return;
        }
        if (start.startsWith("0")) socket.send(`40/parcels,${JSON.stringify(auth)}`);
        else if (start === "2") socket.send("3");
        else if (start === "40/parcels,{" && form === "plain") resolve();
        else if (start === "40/parcels,{") socket.send(`42/parcels,0["hub:listen",${request}]`);
        else if (start.startsWith("43/parcels,0")) resolve();
        else reject(new Error(`not understood: ${bytes.toString()}`));
      });
    });
  }

  #hear({ last }: Listener, bytes: Buffer): void {
    const { events, runs } = this.#lookInto(bytes);
    for (const run of runs) {
      const before = last[run.emitter] ?? -1;
      if (run.first !== before + 1) {
        this.#fault ??= `after event ${before} of emitter ${run.emitter} came ${run.first}`;
      }
      last[run.emitter] = run.last;
    }
    this.#heard += events;
    if (this.#waiting !== undefined) this.#settle();
    this.onMessage(runs);
  }

  #lookInto(bytes: Buffer): Message {
    // The first event's id is within these bytes.
    const start = bytes.toString("latin1", 0, 64);
    const known = this.#known.get(start);
    if (known?.bytes.equals(bytes)) return known;
    const events = eventsOf(bytes.toString());
    const message = { bytes, events: events.length, runs: runsOf(events, this.hasHoles) };
    this.#known.set(start, message);
    const [oldest] = this.#known.keys();
    if (this.#known.size > 500 && oldest !== undefined) this.#known.delete(oldest);
    return message;
  }

  #settle(): void {
    if (this.#waiting === undefined) return;
    const { events, resolve, reject } = this.#waiting;
    if (this.#fault === undefined && this.#heard < events) return;
    this.#waiting = undefined;
    if (this.#fault !== undefined) reject(new Error(this.#fault));
    else if (this.#heard > events) reject(new Error(`${this.#heard} events heard instead of ${events}`));
    else resolve();
  }
}

type PlainMessage = readonly [event: string, data: Parcel, meta?: HeardEntry[2]];

function eventsOf(text: string): readonly PlainMessage[] {
  const message = JSON.parse(text);
  if (message[0] === "hub:events") return message[1];
  return message[0] === "pickup" ? [message] : [];
}

/** Throws where an emitter's events, or the offsets, are not in order, or one is missing. */
function runsOf(events: readonly PlainMessage[], hasHoles: boolean): Run[] {
  const runs = new Map<number, Run>();
  let offset = 0;
  for (const [, data, meta] of events) {
    const { emitter, sequence } = placeOf(data);
    const run = runs.get(emitter);
    if (run === undefined) runs.set(emitter, { emitter, first: sequence, last: sequence });
    else if (sequence === run.last + 1) run.last = sequence;
    else throw new Error(`after event ${run.last} of emitter ${emitter} came ${sequence}`);
    if (meta?.offset === undefined) continue;
    const isNext = hasHoles ? meta.offset > offset : offset === 0 || meta.offset === offset + 1;
    if (!isNext) throw new Error(`after offset ${offset} came ${meta.offset}`);
    offset = meta.offset;
  }
  return [...runs.values()];
}
