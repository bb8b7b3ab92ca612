/** So many times as long as something kept the hub at work it then waits: nobody has more than a fifth of the hub's time. */
const restPerWork = 4;
/** But no longer: where the machine or the process stood still, that was nobody's doing. Milliseconds. */
const mostMs = 250;

/** How long whoever kept the hub at work for so long waits before it does so again, so that others have their time. Milliseconds. */
export const restMs = (workMs: number): number => Math.min(restPerWork * workMs, mostMs);
