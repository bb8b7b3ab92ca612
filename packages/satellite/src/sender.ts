import { errorBody, OrreryError, type Refused, type WireLimits } from "@orrery/contracts";
import type { Outbox, OutboxEntry } from "./outbox.ts";
import { frameBytes, messageEvents, nextTurn, restFor } from "./packing.ts";

/** What the hub says to the entries of one message, in their places, or its refusal of all of them. */
export type Answers<Answer> = readonly (Answer | Refused)[] | Refused;

export interface SenderOptions<Answer> {
  readonly outbox: Outbox<Answer>;
  /** Sends one message; `texts`: of its entries, separated by commas. */
  readonly send: (texts: string, answered: (answers: Answers<Answer>) => void) => void;
  /**
   * So many messages without an answer, at most, where order counts: what was refused for now goes out before what was added
   * after it. Missing: any number, and what was refused for now may be overtaken.
   */
  readonly mostOpen?: number;
  /** Asked before anything goes out. Who says no says `flush` when it may. Missing: it always may. */
  readonly isReady?: () => boolean;
}

/**
 * Sends the entries of an outbox, those of one turn in one message. What was refused for now goes out again after a rest, as long
 * as the hub says at least, in which all others wait as well; what no message can carry is dropped with `EVENT_TOO_LARGE`.
 */
export class Sender<Answer extends { readonly ok: true }> {
  readonly #options: SenderOptions<Answer>;
  #limits: WireLimits | undefined;
  /** Messages without an answer. */
  readonly #open = new Set<readonly OutboxEntry<Answer>[]>();
  #isDue = false;
  #restTimer: ReturnType<typeof setTimeout> | undefined;
  /** By `performance.now()`. */
  #restUntilMs = 0;
  /** Something was refused for now, and has not gone out again yet. */
  #isHeld = false;
  #whenEmpty: (() => void)[] = [];

  constructor(options: SenderOptions<Answer>) {
    this.#options = options;
  }

  /** Without an answer it is dropped with `TIMEOUT` after `timeoutMs`, or with the signal's reason when that aborts. */
  add(entry: OutboxEntry<Answer>, timeoutMs?: number, signal?: AbortSignal): void {
    if (timeoutMs !== undefined || signal !== undefined) this.#dropLater(entry, timeoutMs, signal);
    this.#options.outbox.add(entry);
    this.#flushSoon();
  }

  /** The hub is there. */
  start(limits: WireLimits): void {
    this.#limits = limits;
    this.flush();
  }

  /** The hub is gone, and with it every answer that was on its way. */
  lose(): void {
    this.#limits = undefined;
    this.#open.clear();
    this.#options.outbox.unsendAll();
    this.#wake();
  }

  /** Resolves when every entry has its answer, or after `drainMs`; at once when there is no hub to answer. */
  async drained(drainMs: number): Promise<void> {
    if (this.#options.outbox.size === 0 || this.#limits === undefined || drainMs <= 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainMs);
      this.#whenEmpty.push(resolve);
    });
    clearTimeout(timer);
  }

  /** Rejects all that wait. */
  end(error: unknown): void {
    this.#wake();
    this.#options.outbox.end(error);
    this.#tellWhenEmpty();
  }

  /** Sends what may go by now. */
  flush(): void {
    const { outbox, send, mostOpen = Number.POSITIVE_INFINITY, isReady } = this.#options;
    if (isReady?.() === false || this.#limits === undefined || this.#restTimer !== undefined) return;
    // What is still open may be refused as well: what was added after it must not go out before it is put back.
    if (this.#isHeld && this.#open.size > 0) return;
    this.#isHeld = false;
    const { batchEvents, messageBytes } = this.#limits;
    while (outbox.hasUnsent && this.#open.size < mostOpen) {
      // Half a message: room for what frames the entries, and for a limit that counts a little differently.
      const entries = outbox.take(Math.min(messageEvents, batchEvents), messageBytes / 2);
      const [first] = entries;
      if (first === undefined) break;
      if (first.bytes > messageBytes - frameBytes) {
        outbox.drop(first, new OrreryError("EVENT_TOO_LARGE")); // it is alone: `take` found no room beside it
        this.#tellWhenEmpty();
        continue;
      }
      this.#open.add(entries);
      const texts = entries.map(({ text }) => text).join(",");
      send(texts, (answers) => this.#answered(entries, answers));
    }
  }

  /** Sends once for all that is added in this turn. */
  #flushSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    nextTurn(() => {
      this.#isDue = false;
      this.flush();
    });
  }

  #answered(entries: readonly OutboxEntry<Answer>[], answers: Answers<Answer>): void {
    const { outbox, mostOpen } = this.#options;
    this.#open.delete(entries);
    const again: OutboxEntry<Answer>[] = [];
    let ms = 0;
    entries.forEach((entry, place) => {
      const answer = ("ok" in answers ? answers : answers[place]) ?? noAnswer;
      if (answer.ok) outbox.settle(entry, answer);
      else if (answer.error.retryable) {
        again.push(entry);
        ms = Math.max(ms, restFor(answer.error));
      } else outbox.drop(entry, OrreryError.from(answer.error));
    });
    if (again.length > 0) this.#rest(again, ms);
    this.#tellWhenEmpty();
    if (mostOpen !== undefined) this.flush();
  }

  #tellWhenEmpty(): void {
    if (this.#options.outbox.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  #rest(entries: readonly OutboxEntry<Answer>[], ms: number): void {
    this.#options.outbox.putBack(entries);
    this.#isHeld = this.#options.mostOpen !== undefined;
    const untilMs = performance.now() + ms;
    if (this.#restTimer !== undefined && untilMs <= this.#restUntilMs) return;
    this.#wake();
    this.#restUntilMs = untilMs;
    this.#restTimer = setTimeout(() => {
      this.#wake();
      this.flush();
    }, ms);
  }

  #wake(): void {
    clearTimeout(this.#restTimer);
    this.#restTimer = undefined;
  }

  #dropLater(entry: OutboxEntry<Answer>, timeoutMs?: number, signal?: AbortSignal): void {
    const drop = (error: unknown) => {
      this.#options.outbox.drop(entry, error);
      this.#tellWhenEmpty();
    };
    const timer =
      timeoutMs === undefined ? undefined : setTimeout(() => drop(new OrreryError("TIMEOUT")), timeoutMs);
    const lose = () => drop(signal?.reason);
    signal?.addEventListener("abort", lose);
    entry.onLeave = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", lose);
    };
  }
}

/** For a hub that answers with too few. */
const noAnswer: Refused = { ok: false, error: errorBody("MESSAGE_INVALID") };
