import {
  type Accepted,
  type EmitOptions,
  type EmitReply,
  errorBody,
  OrreryError,
  type Receipt,
  uuidv7Source,
  type WireLimits,
} from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import type { HubSocket } from "./hub-socket.ts";
import { Outbox, type OutboxEntry } from "./outbox.ts";
import type { OutboxStore, StoredEntry } from "./outbox-store.ts";

export interface SayOptions extends EmitOptions {
  /** After this many milliseconds without a receipt `emit` rejects with `TIMEOUT`. Default: it waits until `close()`. */
  readonly timeoutMs?: number;
}

/** Events in one message; more gain nothing. */
const messageEvents = 256;
/** Messages without an answer; more would only wait in the hub instead of here. */
const mostOpenMessages = 32;
/** Before what was refused with a retryable code goes out again. Milliseconds. */
const restMs = 500;

/** The saying half of a satellite: what has no receipt yet, and when it goes to the hub. */
export class Speaker {
  readonly #socket: HubSocket;
  readonly #outboxEvents: number;
  readonly #onError: (error: unknown) => void;
  readonly #store: OutboxStore | undefined;
  readonly #nextId = uuidv7Source();
  readonly #outbox: Outbox;
  /** Set while the store is opened or written: nothing is sent before it is kept. */
  #storing: Promise<unknown> | undefined;
  #limits: WireLimits | undefined;
  #openMessages = 0;
  #isDue = false;
  #restTimer: ReturnType<typeof setTimeout> | undefined;
  /** Something was refused for now, and has not gone out again yet. */
  #isHeld = false;
  #whenEmpty: (() => void)[] = [];

  /** `onError` hears of a store that fails, and of refusals of events that an earlier process has left in it. */
  constructor(
    socket: HubSocket,
    outboxEvents: number,
    store: OutboxStore | undefined,
    onError: (error: unknown) => void,
  ) {
    this.#socket = socket;
    this.#outboxEvents = outboxEvents;
    this.#onError = onError;
    this.#store = store;
    this.#outbox = new Outbox(store);
    if (store !== undefined) this.#untilStored(store.open().then((left) => this.#restore(left)));
  }

  emit(event: string, data: unknown, { id = this.#nextId(), timeoutMs }: SayOptions): Promise<Accepted> {
    return new Promise((resolve, reject) => {
      if (this.#outbox.size >= this.#outboxEvents) return reject(new OrreryError("OUTBOX_FULL"));
      let text: string;
      try {
        text = JSON.stringify([event, data, { id }]);
      } catch (cause) {
        return reject(new OrreryError("DATA_INVALID", { detail: "It is not plain JSON.", cause }));
      }
      const entry: OutboxEntry = { id, text, bytes: bytesOf(text), resolve, reject };
      this.#outbox.add(timeoutMs === undefined ? entry : this.#timed(entry, timeoutMs));
      this.#flushSoon();
    });
  }

  /** The hub is there. */
  welcome(limits: WireLimits): void {
    this.#limits = limits;
    this.#flush();
  }

  /** The connection is gone, and with it every answer that was on its way. */
  lose(): void {
    this.#limits = undefined;
    this.#openMessages = 0;
    this.#outbox.unsendAll();
    this.#wake();
  }

  /** Resolves when every event has its receipt, or after `drainMs`; at once when there is no hub to answer. */
  async drained(drainMs: number): Promise<void> {
    if (this.#outbox.size === 0 || this.#limits === undefined || drainMs <= 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainMs);
      this.#whenEmpty.push(resolve);
    });
    clearTimeout(timer);
  }

  /** Resolves when the store is closed. */
  async end(error: unknown): Promise<void> {
    this.#wake();
    await this.#storing;
    await this.#outbox.store()?.catch(this.#onError);
    this.#outbox.end(error);
    for (const resolve of this.#whenEmpty.splice(0)) resolve();
    await this.#store?.close();
  }

  #restore(left: readonly StoredEntry[]): void {
    const entries = left.map(({ id, text }) => ({
      id,
      text,
      bytes: bytesOf(text),
      resolve: () => undefined,
      reject: (error: unknown) => {
        if (!(error instanceof OrreryError && error.code === "CLOSED")) this.#onError(error);
      },
    }));
    this.#outbox.restore(entries);
  }

  /** A store that fails is reported; events go out all the same. */
  #untilStored(storing: Promise<unknown>): void {
    const done = storing.catch(this.#onError).then(() => {
      if (this.#storing !== done) return;
      this.#storing = undefined;
      this.#flush();
    });
    this.#storing = done;
  }

  /** Sends once for all that is emitted in this turn. */
  #flushSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    nextTurn(() => {
      this.#isDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#storing !== undefined) return;
    const storing = this.#outbox.store();
    if (storing !== undefined) return this.#untilStored(storing);
    if (this.#limits === undefined || this.#restTimer !== undefined) return;
    // What is still open may be refused as well: what was emitted after it must not go out before it is put back.
    if (this.#isHeld && this.#openMessages > 0) return;
    this.#isHeld = false;
    const { batchEvents, messageBytes } = this.#limits;
    while (this.#outbox.hasUnsent && this.#openMessages < mostOpenMessages) {
      // Half a message: room for what frames the events, and for a limit that counts a little differently.
      const entries = this.#outbox.take(Math.min(messageEvents, batchEvents), messageBytes / 2);
      const [first] = entries;
      if (first === undefined) continue;
      if (first.bytes > messageBytes - 1_024) {
        this.#outbox.drop(first, new OrreryError("EVENT_TOO_LARGE")); // it is alone: `take` found no room beside it
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
      const receipt: Receipt = (reply.ok ? reply.receipts[place] : reply) ?? noReceipt;
      if (receipt.ok) this.#outbox.settle(entry, receipt);
      else if (receipt.error.retryable) again.push(entry);
      else this.#outbox.drop(entry, OrreryError.from(receipt.error));
    });
    if (again.length > 0) this.#rest(again);
    if (this.#outbox.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
    this.#flush();
  }

  /** Everything waits a little, so that the order is kept. */
  #rest(entries: readonly OutboxEntry[]): void {
    this.#outbox.putBack(entries);
    this.#isHeld = true;
    this.#restTimer ??= setTimeout(() => {
      this.#wake();
      this.#flush();
    }, restMs);
  }

  #wake(): void {
    clearTimeout(this.#restTimer);
    this.#restTimer = undefined;
  }

  #timed({ id, text, bytes, resolve, reject }: OutboxEntry, timeoutMs: number): OutboxEntry {
    const timer = setTimeout(() => this.#outbox.drop(entry, new OrreryError("TIMEOUT")), timeoutMs);
    const entry: OutboxEntry = {
      id,
      text,
      bytes,
      resolve(receipt) {
        clearTimeout(timer);
        resolve(receipt);
      },
      reject(error) {
        clearTimeout(timer);
        reject(error);
      },
    };
    return entry;
  }
}

/** For a hub that answers with too few receipts. */
const noReceipt: Receipt = { ok: false, error: errorBody("MESSAGE_INVALID") };

const encoder = new TextEncoder();

/** Bytes of UTF-8, or for short texts, where counting is not worth it, the most that they can be. */
const bytesOf = (text: string): number => (text.length < 512 ? text.length * 3 : encoder.encode(text).length);

/**
 * After everything that is ready to run has run, and without a timer: events that many callers emit upon one receipt
 * still travel in one message.
 */
const nextTurn: (run: () => void) => void =
  typeof setImmediate === "function" ? setImmediate : queueMicrotask;
