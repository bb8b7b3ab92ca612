/**
 * Nobody waits for its share for longer: what kept the hub at work for more than that pays for was a machine that stood still,
 * which was nobody's doing. Milliseconds.
 */
export const mostWaitMs = 300;

/** What counts of so much work where so many percent of the hub's time may be had. Milliseconds. */
export const countedMs = (workMs: number, percent: number): number =>
  Math.min(workMs, (mostWaitMs * percent) / 100);

/** How long whatever kept the hub at work for so long waits before it does so again. Milliseconds. */
export const restMs = (workMs: number, percent: number): number =>
  countedMs(workMs, percent) * (100 / percent - 1);
