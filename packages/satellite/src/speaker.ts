import {
  type Accepted,
  type ClaimRef,
  type EmitOptions,
  type EntryOptions,
  OrreryError,
  uuidv7Source,
  type WireLimits,
} from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import type { HubSocket } from "./hub-socket.ts";
import { Outbox, type OutboxEntry } from "./outbox.ts";
import type { OutboxStore, StoredEntry } from "./outbox-store.ts";
import { bytesOf, jsonOf } from "./packing.ts";
import { Sender } from "./sender.ts";

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
  readonly #outboxEvents: number;
  readonly #onError: (error: unknown) => void;
  readonly #store: OutboxStore | undefined;
  readonly #nextId = uuidv7Source();
  readonly #outbox: Outbox;
  readonly #sender: Sender<Accepted>;
  /** Set while the store is opened or written: nothing is sent before it is kept. */
  #storing: Promise<unknown> | undefined;

  /** `onError` hears of a store that fails, and of refusals of events that an earlier process has left in it. */
  constructor(
    socket: HubSocket,
    outboxEvents: number,
    store: OutboxStore | undefined,
    onError: (error: unknown) => void,
  ) {
    this.#outboxEvents = outboxEvents;
    this.#onError = onError;
    this.#store = store;
    this.#outbox = new Outbox(store);
    this.#sender = new Sender<Accepted>({
      outbox: this.#outbox,
      send(texts, answered) {
        const packet = new PacketText(`["hub:emit",[${texts}]]`);
        socket.emit("hub:emit", packet as never, (reply) => answered(reply.ok ? reply.receipts : reply));
      },
      mostOpen: mostOpenMessages,
      isReady: () => this.#isStored(),
    });
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
      this.#sender.add(entry, timeoutMs, under?.signal);
    });
  }

  /** The hub is there. */
  welcome(limits: WireLimits): void {
    this.#sender.start(limits);
  }

  /** Something that was held back may go by now. */
  resume(): void {
    this.#sender.flush();
  }

  /** The connection is gone, and with it every answer that was on its way. */
  lose(): void {
    this.#sender.lose();
  }

  /** Resolves when every event has its receipt, or after `drainMs`; at once when there is no hub to answer. */
  drained(drainMs: number): Promise<void> {
    return this.#sender.drained(drainMs);
  }

  /** Resolves when the store is closed. */
  async end(error: unknown): Promise<void> {
    await this.#storing;
    await this.#outbox.store()?.catch(this.#onError);
    this.#sender.end(error);
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

  /** Whether the store is up to date; otherwise it is written. */
  #isStored(): boolean {
    if (this.#storing !== undefined) return false;
    const storing = this.#outbox.store();
    if (storing !== undefined) this.#untilStored(storing);
    return storing === undefined;
  }

  /** A store that fails is reported; events go out all the same. */
  #untilStored(storing: Promise<unknown>): void {
    const done = storing.catch(this.#onError).then(() => {
      if (this.#storing !== done) return;
      this.#storing = undefined;
      this.#sender.flush();
    });
    this.#storing = done;
  }
}
