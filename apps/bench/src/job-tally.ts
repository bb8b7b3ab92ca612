import type { Parcel } from "@orrery/contracts/parcels";
import { clockMs } from "./clock.ts";
import { jobFrom } from "./jobs.ts";
import { type Latency, latencyOf } from "./statistics.ts";

/** What the members of a team were handed, and have settled. Fails where one comes twice or, if they are `keyed`, out of order. */
export class JobTally {
  readonly #isKeyed: boolean;
  readonly #taken = new Set<number>();
  readonly #lastOfKey = new Map<string, number>();
  #settled = 0;
  #latenciesMs: number[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => undefined;

  constructor({ isKeyed }: { readonly isKeyed: boolean }) {
    this.#isKeyed = isKeyed;
  }

  take(job: Parcel): void {
    const nowMs = clockMs();
    const { parcelId } = job;
    const { number, saidMs } = jobFrom(job);
    this.#latenciesMs.push(nowMs - saidMs);
    if (this.#taken.has(number)) this.fail(new Error(`job ${number} was handed out twice`));
    this.#taken.add(number);
    if (!this.#isKeyed) return;
    const before = this.#lastOfKey.get(parcelId) ?? -1;
    if (number < before) this.fail(new Error(`${parcelId}: after job ${before} came ${number}`));
    this.#lastOfKey.set(parcelId, number);
  }

  settle(count: number): void {
    this.#settled += count;
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  /** Resolves as soon as so many are settled, and throws if anything has failed by then. */
  async until(settled: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = () => {
        if (this.#settled >= settled || this.#failure !== undefined) resolve();
      };
      this.#wake();
    });
    this.check(settled);
  }

  /** Throws unless exactly so many were handed out and settled. */
  check(settled: number): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    const [taken, ended] = [this.#taken.size, this.#settled];
    if (taken === settled && ended === settled) return;
    throw new Error(`of ${settled} jobs ${taken} were handed out, and ${ended} settled`);
  }

  /** From being given to the handler, of all since it was asked last. Milliseconds. */
  latencyMs(): Latency {
    return latencyOf(this.#latenciesMs.splice(0));
  }
}
