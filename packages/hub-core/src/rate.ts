/** How fast something may go on. */
export interface Rate {
  /** So many tokens come back. */
  readonly perSecond: number;
  /** So many are there after a rest, and never more. */
  readonly atOnce: number;
  /** So far below zero it may be before nothing more is taken until that is worked off; not a second time before it has rested. */
  readonly debt: number;
}

/** What was left of a rate at one moment; below zero it is a debt. */
export interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
  /** It went below its debt, and has not been full since. Whoever goes on all the same is made to wait, and not refused again and again. */
  readonly isPaced: boolean;
}

/** Who was too deep in debt has the tokens of so long when it may go on, so that it is not stopped again at once. Milliseconds. */
const headStartMs = 10;

export const fullBucket = ({ atOnce }: Rate, nowMs: number): Bucket => ({
  tokens: atOnce,
  atMs: nowMs,
  isPaced: false,
});

/** What is left by now. */
export const tokensLeft = ({ perSecond, atOnce }: Rate, { tokens, atMs }: Bucket, nowMs: number): number =>
  Math.min(atOnce, tokens + ((nowMs - atMs) * perSecond) / 1_000);

/** Takes tokens whether they are there or not. */
export function take(rate: Rate, bucket: Bucket, tokens: number, nowMs: number): Bucket {
  const before = tokensLeft(rate, bucket, nowMs);
  const after = before - tokens;
  const isPaced = (bucket.isPaced && before < rate.atOnce) || after < -rate.debt;
  return { tokens: after, atMs: nowMs, isPaced };
}

/** Whether nothing more was to be taken at the bucket's moment, or is with so many tokens. */
const isDeep = (rate: Rate, { tokens, isPaced }: Bucket, left = tokens): boolean =>
  left < (isPaced ? 0 : -rate.debt);

/**
 * How long to wait before the next one; 0: it may go on now. One token is enough, whatever it needs: it takes all that, and the next
 * one waits the longer. So nothing is too large ever to pass. Whole milliseconds.
 */
export const waitMs = (rate: Rate, bucket: Bucket, nowMs: number): number => msUntil(rate, bucket, 1, nowMs);

/** How long nothing more is to be taken, because it went on too far without waiting; 0: it did not. Whole milliseconds. */
export const stopMs = (rate: Rate, bucket: Bucket, nowMs: number): number =>
  isDeep(rate, bucket, tokensLeft(rate, bucket, nowMs))
    ? msUntil(rate, bucket, Math.min(rate.atOnce, (rate.perSecond * headStartMs) / 1_000), nowMs)
    : 0;

const msUntil = (rate: Rate, bucket: Bucket, tokens: number, nowMs: number): number =>
  Math.max(0, Math.ceil(((tokens - tokensLeft(rate, bucket, nowMs)) / rate.perSecond) * 1_000));

/** Among so few buckets none is looked for that can go. */
const fewBuckets = 1_000;

/**
 * One rate for each of many: by a name, of which nothing is kept when it has rested long enough to have all of its rate, or by an object,
 * for as long as that is there.
 */
export class Rates<Key extends string | object> {
  readonly #rate: Rate;
  readonly #ofNames = new Map<string, Bucket>();
  readonly #ofObjects = new WeakMap<object, Bucket>();
  #sweepAt = fewBuckets;

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Of how many names something is kept. */
  get size(): number {
    return this.#ofNames.size;
  }

  /** Whether nothing more is to be taken now. */
  take(key: Key, tokens: number, nowMs: number): boolean {
    const bucket = take(this.#rate, this.#bucketOf(key) ?? fullBucket(this.#rate, nowMs), tokens, nowMs);
    if (typeof key !== "string") this.#ofObjects.set(key, bucket);
    else {
      this.#ofNames.set(key, bucket);
      if (this.#ofNames.size >= this.#sweepAt) this.#sweep(nowMs);
    }
    return isDeep(this.#rate, bucket);
  }

  waitMs(key: Key, nowMs: number): number {
    return waitMs(this.#rate, this.#bucketOf(key) ?? fullBucket(this.#rate, nowMs), nowMs);
  }

  stopMs(key: Key, nowMs: number): number {
    const bucket = this.#bucketOf(key);
    return bucket === undefined ? 0 : stopMs(this.#rate, bucket, nowMs);
  }

  #bucketOf(key: Key): Bucket | undefined {
    return typeof key === "string" ? this.#ofNames.get(key) : this.#ofObjects.get(key);
  }

  /** Only when there are twice as many, so that it costs little for each that comes. */
  #sweep(nowMs: number): void {
    for (const [key, bucket] of this.#ofNames)
      if (tokensLeft(this.#rate, bucket, nowMs) >= this.#rate.atOnce) this.#ofNames.delete(key);
    this.#sweepAt = Math.max(fewBuckets, 2 * this.#ofNames.size);
  }
}
