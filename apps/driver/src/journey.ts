import { lifecycle, type Order, replayClock } from "@orrery/order-file";

/** One thing that a driver says of a parcel. */
export interface Leg {
  readonly event: "in-transit" | "delivered";
  /** When it is due: real milliseconds after the pickup. */
  readonly afterMs: number;
  /** The recorded time that it tells, milliseconds since 1970. Missing: the time at which it is said. */
  readonly recordedMs?: number;
}

/** What a driver will say of a parcel, in this order. */
export type JourneyOf = (parcelId: string) => readonly Leg[];

/**
 * A parcel of the orders is collected and delivered as it was recorded, as far as it got, at `secondsPerDay` real seconds
 * per recorded day. Any other is collected `paceMs` after its pickup and delivered as long after that.
 */
export function journeysOf({
  orders,
  secondsPerDay,
  paceMs,
}: {
  readonly orders: readonly Order[];
  readonly secondsPerDay: number;
  readonly paceMs: number;
}): JourneyOf {
  const byParcel = new Map(orders.map((order) => [order.parcelId, order]));
  const paced: readonly Leg[] = [
    { event: "in-transit", afterMs: paceMs },
    { event: "delivered", afterMs: 2 * paceMs },
  ];
  return (parcelId) => {
    const order = byParcel.get(parcelId);
    return order === undefined ? paced : recordedJourney(order, secondsPerDay);
  };
}

function recordedJourney(order: Order, secondsPerDay: number): readonly Leg[] {
  const sincePickup = replayClock({ firstMs: order.pickupAtMs, secondsPerDay, startedAtMs: 0 });
  const recorded = { "in-transit": order.inTransitAtMs, delivered: order.deliveredAtMs };
  return lifecycle(order).flatMap(({ event, dueMs }) => {
    if (event === "pickup") return [];
    const recordedMs = recorded[event];
    const leg = { event, afterMs: sincePickup.dueInMs(dueMs, 0) };
    return [recordedMs === undefined ? leg : { ...leg, recordedMs }];
  });
}
