/** Nobody has more than this of the hub's time while somebody else wants some. */
export const share = 0.2;
/** Where something kept the hub at work for longer, the machine or the process stood still, which was nobody's doing. Milliseconds. */
export const mostWorkMs = 60;

/** How long whatever kept the hub at work for so long waits before it does so again. Milliseconds. */
export const restMs = (workMs: number): number => Math.min(workMs, mostWorkMs) * (1 / share - 1);
