import { type ErrorCode, OrreryError } from "@orrery/contracts";
import type { Parcel, Parcels } from "@orrery/contracts/parcels";
import { DeadError, type SaidEvent, type WorkContext } from "@orrery/satellite";
import type { Drive } from "./drive.ts";
import type { JourneyOf, Leg } from "./journey.ts";
import type { Waits } from "./waits.ts";

/** What is wrong with what is said, whoever says it and however often. */
const hopeless: ReadonlySet<ErrorCode> = new Set(["DATA_INVALID", "EVENT_TOO_LARGE"]);

/** What a driver does with the parcels that it gets to deliver. */
export class Deliveries {
  readonly #driverId: string;
  readonly #journeyOf: JourneyOf;
  readonly #waits: Waits;
  readonly #drive: Drive;
  readonly #print: (line: string) => void;
  readonly #counts = { collected: 0, delivered: 0, takenOver: 0, givenBack: 0 };

  constructor({
    driverId,
    journeyOf,
    waits,
    drive,
    print,
  }: {
    readonly driverId: string;
    readonly journeyOf: JourneyOf;
    readonly waits: Waits;
    readonly drive: Drive;
    readonly print: (line: string) => void;
  }) {
    this.#driverId = driverId;
    this.#journeyOf = journeyOf;
    this.#waits = waits;
    this.#drive = drive;
    this.#print = print;
  }

  /** What was done so far, for people. */
  get summary(): string {
    const { collected, delivered, takenOver, givenBack } = this.#counts;
    return `${collected} collected, ${delivered} delivered, ${takenOver} taken over, ${givenBack} given back`;
  }

  /**
   * The handler of `work`: each leg of the journey when it is due, counted from the pickup, so that whoever takes over a parcel
   * is as late as the one before would have been. The last leg is said together with the settle, and what is due by then as
   * well; an order without a delivery is done without one. What would be due long after the stop goes back to the group.
   */
  async deliver(parcel: Parcel, context: WorkContext<Parcels>): Promise<void> {
    const { parcelId, customer } = parcel;
    const { meta, signal } = context;
    const unsaid: Leg[] = [];
    try {
      for (const leg of this.#journeyOf(parcelId)) {
        const dueMs = Date.parse(meta.time) + leg.afterMs;
        if (dueMs > Date.now()) {
          for (const before of unsaid.splice(0)) await this.#say(parcel, context, before);
        }
        const unload = leg.event === "delivered" ? this.#drive.load(customer.state, dueMs) : undefined;
        const isDue = await this.#waits.until(dueMs, signal).finally(unload);
        if (!isDue) return await this.#giveBack(context);
        unsaid.push(leg);
      }
      await this.#settle(parcel, context, unsaid);
    } catch (error) {
      if (!(error instanceof OrreryError && hopeless.has(error.code))) throw error;
      const reason = `${error.code}: ${error.message}`;
      this.#print(`gives up ${parcelId}, ${reason}`);
      throw new DeadError(reason, { cause: error });
    }
  }

  async #say(parcel: Parcel, { emit }: WorkContext<Parcels>, leg: Leg): Promise<void> {
    const [event, data] = this.#eventOf(parcel, leg);
    const { duplicate } = await emit(event, data);
    this.#said(parcel, leg, duplicate);
  }

  /** All of it is on disk, or nothing. */
  async #settle(parcel: Parcel, context: WorkContext<Parcels>, legs: readonly Leg[]): Promise<void> {
    const receipts = await context.done(...legs.map((leg) => this.#eventOf(parcel, leg)));
    for (const [place, leg] of legs.entries()) this.#said(parcel, leg, receipts[place]?.duplicate);
  }

  #eventOf(parcel: Parcel, { event, recordedMs = Date.now() }: Leg): SaidEvent<Parcels> {
    const driverId = this.#driverId;
    const at = new Date(recordedMs).toISOString();
    return event === "in-transit"
      ? [event, { ...parcel, driverId, collectedAt: at }]
      : [event, { ...parcel, driverId, deliveredAt: at }];
  }

  #said({ parcelId, vendorId, customer }: Parcel, { event }: Leg, isBefore = false): void {
    if (isBefore) {
      this.#counts.takenOver += 1;
      this.#print(`took over ${short(parcelId)}`);
    } else if (event === "in-transit") {
      this.#counts.collected += 1;
      this.#print(`collected ${short(parcelId)} from ${short(vendorId)}`);
    } else {
      this.#counts.delivered += 1;
      this.#print(`delivered ${short(parcelId)} to ${customer.city} (${customer.state})`);
    }
  }

  async #giveBack({ back }: WorkContext<Parcels>): Promise<void> {
    await back();
    this.#counts.givenBack += 1;
  }
}

const short = (id: string): string => (id.length > 12 ? `${id.slice(0, 8)}…` : id);
