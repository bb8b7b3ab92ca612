import {
  type Accepted,
  errorBody,
  OrreryError,
  type SettledReply,
  type SettleReply,
  type WireLimits,
} from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import type { HubSocket } from "./hub-socket.ts";
import { Outbox, type OutboxEntry } from "./outbox.ts";
import { bytesOf, frameBytes, messageEvents, nextTurn, restMs } from "./packing.ts";

type Receipts = readonly Accepted[];

/**
 * The settles of one group that have no answer yet. Those of one turn travel in one message. What was refused for now, or not
 * answered before the connection was lost, goes out again, until its claim is lost.
 */
export class Settler {
  readonly #socket: HubSocket;
  readonly #group: string;
  readonly #outbox = new Outbox<Receipts>();
  #limits: WireLimits | undefined;
  #isDue = false;
  #restTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: HubSocket, group: string) {
    this.#socket = socket;
    this.#group = group;
  }

  /**
   * `text`: a `Settle`; `events`: how many it says. Resolves with their receipts when it is on disk; rejects with the hub's
   * refusal, or with the signal's reason when that aborts.
   */
  settle(text: string, events: number, signal: AbortSignal): Promise<Receipts> {
    return new Promise((resolve, reject) => {
      const drop = () => this.#outbox.drop(entry, signal.reason);
      const entry: OutboxEntry<Receipts> = {
        storeId: undefined,
        text,
        bytes: bytesOf(text),
        events: 1 + events,
        resolve(receipts) {
          signal.removeEventListener("abort", drop);
          resolve(receipts);
        },
        reject(error) {
          signal.removeEventListener("abort", drop);
          reject(error);
        },
      };
      signal.addEventListener("abort", drop);
      this.#outbox.add(entry);
      this.#flushSoon();
    });
  }

  /** The hub has taken the satellite into the group. */
  start(limits: WireLimits): void {
    this.#limits = limits;
    this.#flush();
  }

  /** The connection is gone, or the membership, and with it every answer that was on its way. */
  lose(): void {
    this.#limits = undefined;
    this.#outbox.unsendAll();
    this.#wake();
  }

  /** Sends once for all that is settled in this turn. */
  #flushSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    nextTurn(() => {
      this.#isDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#limits === undefined || this.#restTimer !== undefined) return;
    const { batchEvents, messageBytes } = this.#limits;
    while (this.#outbox.hasUnsent) {
      // Half a message, as with events.
      const entries = this.#outbox.take(Math.min(messageEvents, batchEvents), messageBytes / 2);
      const [first] = entries;
      if (first === undefined) break;
      if (first.bytes > messageBytes - frameBytes) {
        this.#outbox.drop(first, new OrreryError("EVENT_TOO_LARGE")); // it is alone: `take` found no room beside it
        continue;
      }
      const settles = entries.map(({ text }) => text).join(",");
      const packet = new PacketText(
        `["hub:settle",{"group":${JSON.stringify(this.#group)},"settles":[${settles}]}]`,
      );
      this.#socket.emit("hub:settle", packet as never, (reply) => this.#answered(entries, reply));
    }
  }

  #answered(entries: readonly OutboxEntry<Receipts>[], reply: SettleReply): void {
    const again: OutboxEntry<Receipts>[] = [];
    entries.forEach((entry, place) => {
      const settled: SettledReply = (reply.ok ? reply.replies[place] : reply) ?? noReply;
      if (settled.ok) this.#outbox.settle(entry, settled.receipts);
      else if (settled.error.retryable) again.push(entry);
      else this.#outbox.drop(entry, OrreryError.from(settled.error));
    });
    if (again.length === 0) return;
    this.#outbox.putBack(again);
    this.#restTimer ??= setTimeout(() => {
      this.#wake();
      this.#flush();
    }, restMs);
  }

  #wake(): void {
    clearTimeout(this.#restTimer);
    this.#restTimer = undefined;
  }
}

/** For a hub that answers with too few replies. */
const noReply: SettledReply = { ok: false, error: errorBody("MESSAGE_INVALID") };
