import type { Order } from "./orders.ts";

/** Named as in the parcels contract. */
export type Stage = "pickup" | "in-transit" | "delivered";

export interface Step {
  readonly event: Stage;
  /** Recorded time, milliseconds since 1970. Never before the step before it. */
  readonly dueMs: number;
}

/**
 * What happened to a parcel, always as pickup, in-transit, delivered, as far as it got. Real files have parcels marked
 * delivered before they were marked in transit: what was recorded too early is then due together with the step before.
 */
export function lifecycle({ pickupAtMs, inTransitAtMs, deliveredAtMs }: Order): Step[] {
  const recorded: readonly [Stage, number | undefined][] = [
    ["pickup", pickupAtMs],
    ["in-transit", inTransitAtMs],
    ["delivered", deliveredAtMs],
  ];
  const steps: Step[] = [];
  let dueMs = pickupAtMs;
  for (const [event, atMs] of recorded) {
    if (atMs === undefined) continue;
    dueMs = Math.max(dueMs, atMs);
    steps.push({ event, dueMs });
  }
  return steps;
}
