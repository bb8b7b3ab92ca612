/** Nobody has more than this of the hub's time while somebody else wants some. */
export const share = 0.2;
/** Where something kept the hub at work for longer, the machine or the process stood still, which was nobody's doing. Milliseconds. */
export const mostWorkMs = 60;

/**
 * Of what a satellite brings, the reading and checking is measured; what comes of that, commits and receipts, takes as long again, and a
 * thread of its own. With all of the share a flood over 20 connections left others' p99 at up to 3.3 times.
 */
const readingPart = 0.4;
export const readingShare = readingPart * share;
export const mostReadingMs = readingPart * mostWorkMs;

/** How long whatever kept the hub at work for so long waits before it does so again. Milliseconds. */
export const restMs = (workMs: number): number => Math.min(workMs, mostWorkMs) * (1 / share - 1);
