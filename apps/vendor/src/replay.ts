import { OrreryError } from "@orrery/contracts";
import type { Parcel } from "@orrery/contracts/parcels";
import { type Fault, type Order, type ReplayClock, replayClock } from "@orrery/order-file";
import type { Play } from "./start-vendor.ts";
import { waitUntilDue } from "./wait.ts";

export interface ReplayOptions {
  /** As it stands in messages. */
  readonly fileName: string;
  readonly orders: readonly Order[];
  readonly faults: readonly Fault[];
  /** Real seconds per recorded day. 0: as fast as the hub takes them. */
  readonly secondsPerDay: number;
  readonly print: (line: string) => void;
}

/**
 * Asks for the orders' pickups in recorded order, each when it is due and the one before has its receipt. Orders that
 * were asked for before, by an earlier run, are passed over without waiting, and the replay goes on at the first other.
 * A bad order is reported, and the rest goes on.
 */
export function replay({ fileName, orders, faults, secondsPerDay, print }: ReplayOptions): Play {
  return async (ask, signal) => {
    for (const { line, message } of faults) print(`${fileName} line ${line}: ${message}, skipped`);

    let asked = 0;
    let before = 0;
    let clock: ReplayClock | undefined;
    for (const order of orders.toSorted((a, b) => a.pickupAtMs - b.pickupAtMs)) {
      await waitUntilDue(() => clock?.dueInMs(order.pickupAtMs, Date.now()) ?? 0, signal);
      try {
        const { duplicate } = await ask(parcelOf(order));
        if (duplicate) {
          before += 1;
        } else {
          if (asked === 0 && before > 0) print(`${before} were asked for before, going on with the rest`);
          asked += 1;
          clock ??= replayClock({ firstMs: order.pickupAtMs, secondsPerDay, startedAtMs: Date.now() });
        }
      } catch (error) {
        if (signal.aborted || !(error instanceof OrreryError) || error.retryable) throw error;
        print(`${fileName} parcel ${order.parcelId}: refused, ${error.code}: ${error.message}`);
      }
    }

    print(`${fileName} is at its end: ${asked} pickups asked for, ${before} were asked for before`);
    if (asked === 0 && before > 0) {
      print("The hub has all of them already. To play them again, stop it and remove its data directory;");
      print("VENDOR_ORDERS=none makes up new orders.");
    }
  };
}

const parcelOf = ({ parcelId, vendorId, city, state }: Order): Parcel => ({
  parcelId,
  vendorId,
  customer: { city, state },
});
