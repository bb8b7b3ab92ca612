/** Nobody has more than this of the hub's time while somebody else wants some. */
export const share = 0.2;
/**
 * For what a satellite brings: what is measured is the reading and checking of it, and what comes of that, commits and receipts, takes as
 * long again, and a thread of its own. With all of the share a flood over 20 connections left others' p99 at up to 3.3 times.
 */
export const readingShare = 0.4 * share;
/** Where something kept the hub at work for longer, the machine or the process stood still, which was nobody's doing. Milliseconds. */
export const mostWorkMs = 60;

/** How long whatever kept the hub at work for so long waits before it does so again. Milliseconds. */
export const restMs = (workMs: number): number => Math.min(workMs, mostWorkMs) * (1 / share - 1);
