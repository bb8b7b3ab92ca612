import { OrreryError } from "@orrery/contracts";
import type { Parcel } from "@orrery/contracts/parcels";
import { DueQueue } from "./due-queue.ts";
import type { JourneyOf, Leg } from "./journey.ts";

/** Says one leg of a parcel's journey. `atMs`: the time that the event tells. Rejects with an `OrreryError`. */
export type Say = (
  event: Leg["event"],
  parcel: Parcel,
  atMs: number,
) => Promise<{ readonly duplicate?: true }>;

/** A parcel that something is still to be said of. */
interface Open {
  readonly parcel: Parcel;
  readonly journey: readonly Leg[];
  /** From when the legs count. Milliseconds since 1970. */
  readonly pickupMs: number;
  /** The leg to be said next. */
  next: number;
  isSaying: boolean;
  /** The log has this driver's own `in-transit` of it. */
  isCollected: boolean;
}

/** Parcels at once that wait for a receipt, each for one: a tenth of what the satellite's outbox holds. */
const saidAtOnce = 1_000;
/** A longer timer fires at once. Milliseconds, 25 days. */
const longestTimeoutMs = 2 ** 31 - 1;

/**
 * A driver's parcels, from the pickup until nothing is left to be said. Each leg is said when it is due and the one
 * before has its receipt; what the log has already, from an earlier run or from another driver, is not said again, and a
 * parcel that another driver has collected is left to it.
 */
export class Rounds {
  readonly #journeyOf: JourneyOf;
  readonly #say: Say;
  readonly #print: (line: string) => void;
  readonly #open = new Map<string, Open>();
  readonly #due = new DueQueue<{ readonly open: Open; readonly leg: number }>();
  readonly #counts = { "in-transit": 0, delivered: 0, before: 0 };
  #saying = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = Number.POSITIVE_INFINITY;
  #isStopped = false;

  constructor({
    journeyOf,
    say,
    print,
  }: {
    readonly journeyOf: JourneyOf;
    readonly say: Say;
    readonly print: (line: string) => void;
  }) {
    this.#journeyOf = journeyOf;
    this.#say = say;
    this.#print = print;
  }

  /** A parcel is to be collected. */
  pickup(parcel: Parcel, pickupMs: number): void {
    if (!this.#open.has(parcel.parcelId)) this.#plan(parcel, pickupMs, this.#journeyOf(parcel.parcelId), 0);
  }

  /** The log has this driver's own `in-transit`: only what comes after it is still to be said. */
  collected(parcel: Parcel, collectedMs: number): void {
    const open = this.#open.get(parcel.parcelId);
    if (open !== undefined) {
      open.isCollected = true;
      if (open.journey[open.next]?.event === "in-transit" && !open.isSaying) this.#advance(open);
      return;
    }
    // It was given up when the hub said that the parcel is taken, and turns out to be taken by an earlier run of ours.
    const journey = this.#journeyOf(parcel.parcelId);
    const place = journey.findIndex(({ event }) => event === "in-transit");
    this.#plan(parcel, collectedMs - (journey[place]?.afterMs ?? 0), journey, place + 1);
  }

  /** The log has this driver's own `delivered`: nothing is left to be said. */
  delivered(parcelId: string): void {
    this.#open.delete(parcelId);
  }

  /** Forgets every parcel: the log they are from is gone. */
  forget(): void {
    this.#open.clear();
    this.#due.clear();
  }

  /** Says nothing more. Gives what was said so far, as a line for people. */
  stop(): string {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    const { "in-transit": collected, delivered, before } = this.#counts;
    return `${collected} collected, ${delivered} delivered, ${before} times it was said before`;
  }

  #plan(parcel: Parcel, pickupMs: number, journey: readonly Leg[], next: number): void {
    if (next >= journey.length) return;
    const open = { parcel, journey, pickupMs, next, isSaying: false, isCollected: next > 0 };
    this.#open.set(parcel.parcelId, open);
    this.#wait(open);
  }

  #advance(open: Open): void {
    open.next += 1;
    if (open.next < open.journey.length) this.#wait(open);
    else this.#open.delete(open.parcel.parcelId);
  }

  #wait(open: Open): void {
    const { afterMs } = open.journey[open.next] as Leg;
    this.#due.add(open.pickupMs + afterMs, { open, leg: open.next });
    this.#wakeWhenDue();
  }

  /** One timer for all; never set back by what is due later. */
  #wakeWhenDue(): void {
    const dueMs = this.#due.nextMs;
    if (dueMs === undefined || dueMs >= this.#timerDueMs || this.#saying >= saidAtOnce || this.#isStopped)
      return;
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    const inMs = Math.max(0, dueMs - Date.now());
    this.#timer = setTimeout(() => this.#sayDue(), Math.min(inMs, longestTimeoutMs));
  }

  #sayDue(): void {
    clearTimeout(this.#timer);
    this.#timerDueMs = Number.POSITIVE_INFINITY;
    const nowMs = Date.now();
    while (this.#saying < saidAtOnce && !this.#isStopped) {
      const next = this.#due.takeDue(nowMs);
      if (next === undefined) break;
      const { open, leg } = next;
      if (this.#isOpen(open) && open.next === leg) void this.#sayNext(open);
    }
    this.#wakeWhenDue();
  }

  async #sayNext(open: Open): Promise<void> {
    const { event, recordedMs } = open.journey[open.next] as Leg;
    this.#saying += 1;
    open.isSaying = true;
    try {
      const { duplicate } = await this.#say(event, open.parcel, recordedMs ?? Date.now());
      this.#count(event, open.parcel, duplicate);
      if (this.#isOpen(open)) this.#advance(open);
    } catch (error) {
      this.#refused(open, event, error);
    }
    open.isSaying = false;
    this.#saying -= 1;
    this.#sayDue();
  }

  #count(event: Leg["event"], { parcelId, vendorId, customer }: Parcel, duplicate?: true): void {
    if (duplicate) {
      this.#counts.before += 1;
      return;
    }
    this.#counts[event] += 1;
    if (event === "in-transit") this.#print(`collected ${short(parcelId)} from ${short(vendorId)}`);
    else this.#print(`delivered ${short(parcelId)} to ${customer.city} (${customer.state})`);
  }

  #refused(open: Open, event: Leg["event"], error: unknown): void {
    if (!(error instanceof OrreryError)) throw error;
    if (error.code === "CLOSED") return;
    // Said before, with another time or by another driver.
    const isBefore = error.code === "ID_REUSED";
    if (isBefore) this.#counts.before += 1;
    else this.#print(`parcel ${open.parcel.parcelId}: ${event} refused, ${error.code}: ${error.message}`);
    if (!this.#isOpen(open)) return;
    if (isBefore && event === "in-transit" && open.isCollected) this.#advance(open);
    else this.#open.delete(open.parcel.parcelId);
  }

  /** Not delivered, given up or forgotten meanwhile. */
  #isOpen(open: Open): boolean {
    return this.#open.get(open.parcel.parcelId) === open;
  }
}

const short = (id: string): string => (id.length > 12 ? `${id.slice(0, 8)}…` : id);
