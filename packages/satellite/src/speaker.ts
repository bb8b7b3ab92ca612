import {
  type Accepted,
  type ClaimRef,
  type EmitOptions,
  type EmitReply,
  type EntryOptions,
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
import { bytesOf, frameBytes, jsonOf, messageEvents, nextTurn, restMs } from "./packing.ts";

export interface SayOptions extends EmitOptions {
  /** After this many milliseconds without a receipt `emit` rejects with `TIMEOUT`. Default: it waits until `close()`. */
  readonly timeoutMs?: number;
}

/** The claim that an event is said under. */
export interface Saying {
  readonly claim: ClaimRef;
  /** Aborts when the claim is lost. */
  readonly signal: AbortSignal;
  /** Whether the hub knows on this connection whose claim it is. Say `resume` when that begins. */
  readonly mayGo: () => boolean;
}

/** Messages without an answer; more would only wait in the hub instead of here. */
const mostOpenMessages = 32;

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

  /**
   * Said under a claim it leaves the outbox when that is lost, rejecting with the signal's reason, and it is not stored:
   * after a crash whoever gets the claim next says it again.
   */
  emit(
    event: string,
    data: unknown,
    { id = this.#nextId(), timeoutMs }: SayOptions,
    under?: Saying,
  ): Promise<Accepted> {
    return new Promise((resolve, reject) => {
      if (this.#outbox.size >= this.#outboxEvents) return reject(new OrreryError("OUTBOX_FULL"));
      const options: EntryOptions = under === undefined ? { id } : { id, claim: under.claim };
      const text = jsonOf([event, data, options]);
      const storeId = under === undefined ? id : undefined;
      const mayGo = under?.mayGo;
      const entry: OutboxEntry = { storeId, text, bytes: bytesOf(text), events: 1, mayGo, resolve, reject };
      const isPlain = timeoutMs === undefined && under === undefined;
      this.#outbox.add(isPlain ? entry : this.#droppable(entry, timeoutMs, under?.signal));
      this.#flushSoon();
    });
  }

  /** The hub is there. */
  welcome(limits: WireLimits): void {
    this.#limits = limits;
    this.#flush();
  }

  /** Something that was held back may go by now. */
  resume(): void {
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
      storeId: id,
      text,
      bytes: bytesOf(text),
      events: 1,
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
      if (first === undefined) break;
      if (first.bytes > messageBytes - frameBytes) {
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
    this.#tellWhenEmpty();
    this.#flush();
  }

  #tellWhenEmpty(): void {
    if (this.#outbox.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
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

  /** Leaves the outbox without a receipt when its time is over, or when the signal aborts. */
  #droppable(
    entry: OutboxEntry,
    timeoutMs: number | undefined,
    signal: AbortSignal | undefined,
  ): OutboxEntry {
    const drop = (error: unknown) => {
      this.#outbox.drop(droppable, error);
      this.#tellWhenEmpty();
    };
    const timer =
      timeoutMs === undefined ? undefined : setTimeout(() => drop(new OrreryError("TIMEOUT")), timeoutMs);
    const lose = () => drop(signal?.reason);
    signal?.addEventListener("abort", lose);
    const forget = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", lose);
    };
    const droppable: OutboxEntry = {
      ...entry,
      resolve(receipt) {
        forget();
        entry.resolve(receipt);
      },
      reject(error) {
        forget();
        entry.reject(error);
      },
    };
    return droppable;
  }
}

/** For a hub that answers with too few receipts. */
const noReceipt: Receipt = { ok: false, error: errorBody("MESSAGE_INVALID") };
