/** Nobody has more than this of the hub's time while somebody else wants some. */
export const share = 0.2;
/** Where something kept the hub at work for longer, the machine or the process stood still, which was nobody's doing. Milliseconds. */
export const mostWorkMs = 60;

/**
 * The same for the reading of what a satellite's connections bring, where it has several: together no more than what one has that takes
 * its turn. What comes of it, commits and receipts, takes as long again. With all of the share a flood over 20 connections left others'
 * p99 at up to 3.3 times the quiet one.
 */
export const together = { share: 0.4 * share, mostWorkMs: 0.4 * mostWorkMs };

/** How long whatever kept the hub at work for so long waits before it does so again. Milliseconds. */
export const restMs = (workMs: number): number => Math.min(workMs, mostWorkMs) * (1 / share - 1);
