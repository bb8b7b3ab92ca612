import { OrreryError } from "@orrery/contracts";

/**
 * A claim at the satellite. `running`: its handler may say and settle · `settling`: a settle was asked for, and has no answer
 * yet · `settled` · `lost`: somebody else's, now or soon. The last two are final.
 */
export type ClaimState = "running" | "settling" | "settled" | "lost";

/**
 * `settle`: a settle is asked for · `accepted`, `refused`: the hub's answer to it, where it leaves the claim held ·
 * `reported`: the hub lists the claim as lost, or has refused an event that was said under it · `over`: the lease is over, or
 * the hub has refused the settle with `LEASE_LOST`.
 */
export type ClaimInput = "settle" | "accepted" | "refused" | "reported" | "over";

/**
 * While a settle is on its way its answer decides, not a report: the hub may have carried it out on a connection that was
 * lost before the answer, and then it holds the claim no more for that reason.
 */
const after: { readonly [State in ClaimState]: { readonly [Input in ClaimInput]: ClaimState } } = {
  running: {
    settle: "settling",
    accepted: "running",
    refused: "running",
    reported: "lost",
    over: "lost",
  },
  settling: {
    settle: "settling",
    accepted: "settled",
    refused: "running",
    reported: "settling",
    over: "lost",
  },
  settled: {
    settle: "settled",
    accepted: "settled",
    refused: "settled",
    reported: "settled",
    over: "settled",
  },
  lost: { settle: "lost", accepted: "lost", refused: "lost", reported: "lost", over: "lost" },
};

/** The rules of a claim: what each thing that happens makes of it. Pure. */
export const stepClaim = (state: ClaimState, input: ClaimInput): ClaimState => after[state][input];

/** Whether the claim is the satellite's, and its lease has to be renewed: also while a settle waits, for a disk that is full. */
export const isHeld = (state: ClaimState): boolean => state === "running" || state === "settling";

/** How long a claim is the satellite's without being renewed. The times are of one clock that never goes back. */
export interface Lease {
  readonly leaseMs: number;
  readonly untilMs: number;
}

/** The lease of a claim that has come at that time. */
export const leaseFrom = (nowMs: number, leaseMs: number): Lease => ({ leaseMs, untilMs: nowMs + leaseMs });

/** After the hub has answered a renewal. It counts from when it was sent: the hub cannot have begun before. */
export const renewed = ({ leaseMs, untilMs }: Lease, sentMs: number): Lease => ({
  leaseMs,
  untilMs: Math.max(untilMs, sentMs + leaseMs),
});

/** When to renew, and to see which leases are over: after a third of the shortest, and when the first ends. */
export function nextLookMs(leases: Iterable<Lease>, nowMs: number): number {
  let lookMs = Number.POSITIVE_INFINITY;
  for (const { leaseMs, untilMs } of leases) lookMs = Math.min(lookMs, nowMs + leaseMs / 3, untilMs);
  return lookMs;
}

/** The longest id that the hub takes. Characters. */
const idLength = 128;

/**
 * The id of the n-th event of a name that is said under a claim: the same in every attempt, so that an attempt which says
 * again what an earlier one has said says it once. Of the claimed event's offset, since two satellites may have said events
 * under one id. Too long a one is `ID_INVALID`.
 */
export function derivedId(group: string, offset: number, event: string, n: number): string {
  const id = `${group}:${offset}:${event}${n === 1 ? "" : `:${n}`}`;
  if (id.length <= idLength) return id;
  const detail = `"${id}" is longer than ${idLength} characters: give the event an id.`;
  throw new OrreryError("ID_INVALID", { detail });
}
