/** What the hub's process had in memory, at a time. */
export interface Sample {
  readonly atMs: number;
  readonly bytes: number;
}

export interface Growth {
  /** Medians of the second and of the last quarter. Bytes. */
  readonly before: number;
  readonly after: number;
  readonly isFlat: boolean;
}

/** This share of a run is not looked at: code is compiled, caches and heap come to their size. */
const warmUp = 0.1;

/**
 * What resident memory may differ by between two quarters of a run without anything having been kept: V8 takes and gives back
 * memory in large steps, as it pleases. Bytes. Measured: see the README. The bound is the same for a long run, which says so
 * much more there: in half an hour of 300 messages a second some 120 bytes a message.
 */
export const mostGrowth = 64 * 1_024 * 1_024;

/** In fewer it cannot be told: a quarter of them is over before code is compiled. */
const fewestSamples = 40;

/**
 * Whether memory stays: the median of the last quarter against that of the second, after the warm-up. Medians, since single
 * samples tell of garbage that waits for its collection; not the first quarter, since groups and caches fill up in it. Undefined
 * where there are not enough samples to tell. Pure.
 */
export function growthOf(samples: readonly Sample[]): Growth | undefined {
  if (samples.length < fewestSamples) return undefined;
  const warm = samples.slice(Math.ceil(samples.length * warmUp));
  const quarter = Math.floor(warm.length / 4);
  const before = medianOf(warm.slice(quarter, 2 * quarter));
  const after = medianOf(warm.slice(-quarter));
  return { before, after, isFlat: after - before <= mostGrowth };
}

function medianOf(samples: readonly Sample[]): number {
  const sorted = samples.map(({ bytes }) => bytes).sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
