// A process with satellites as programs write them.
import type { Meta } from "@orrery/contracts";
import { type Parcel, parcels } from "@orrery/contracts/parcels";
import { connect } from "@orrery/satellite";
import { answerParent } from "../child.ts";
import { keptNumber, keptParcels } from "../parcel.ts";

/** Counts what comes, until it is all there. Throws, into the satellite's `onError`, where it is not what is to come next. */
class Tally {
  /** Milliseconds from the first `start` to the last event. */
  readonly done: Promise<void>;
  #end: () => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;
  #count = 0;
  readonly #events: number;
  readonly #lastOfParcel = new Float64Array(keptParcels);

  constructor(events: number) {
    this.#events = events;
    this.done = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
  }

  /** Each event once: of one parcel they come in order, and together they are as many as there are. */
  take({ parcelId }: Parcel, { offset = 0 }: Meta): void {
    const number = keptNumber(parcelId);
    const before = this.#lastOfParcel[number] as number;
    if (offset <= before) this.#fail(new Error(`parcel ${number}: after offset ${before} came ${offset}`));
    this.#lastOfParcel[number] = offset;
    this.#count += 1;
    if (this.#count === this.#events) this.#end();
  }

  failed(error: unknown): void {
    this.#fail(error);
  }
}

export type SatellitesAnswers = typeof answers;
const answers = answerParent({
  /** One follower under a new name, from the start to the log's end. Resolves with the time it took. Milliseconds. */
  async followAll(url: string, as: string, events: number): Promise<number> {
    const tally = new Tally(events);
    const onError = (error: unknown) => tally.failed(error);
    const logger = connect(parcels, { url, role: "logger", id: "a", onError });
    await logger.ready();
    const startMs = performance.now();
    const following = logger.follow("pickup", { as, from: "start", concurrency: 1_000 }, (data, meta) =>
      tally.take(data, meta),
    );
    await tally.done;
    const wallMs = performance.now() - startMs;
    await following.stop();
    await logger.close();
    return wallMs;
  },

  /** One live listener, from the start to the log's end. Resolves with the time it took. Milliseconds. */
  async hearAll(url: string, events: number): Promise<number> {
    const tally = new Tally(events);
    const onError = (error: unknown) => tally.failed(error);
    const logger = connect(parcels, { url, role: "logger", id: "a", from: "start", onError });
    await logger.ready();
    const startMs = performance.now();
    logger.on("pickup", (data, meta) => tally.take(data, meta));
    await tally.done;
    const wallMs = performance.now() - startMs;
    await logger.close();
    return wallMs;
  },

  /** Microseconds of CPU time so far. */
  cpuMicros: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
});
