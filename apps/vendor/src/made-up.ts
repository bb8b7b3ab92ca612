import { OrreryError } from "@orrery/contracts";
import type { Parcel } from "@orrery/contracts/parcels";
import type { Play } from "./start-vendor.ts";
import { waitUntilDue } from "./wait.ts";

type Choices<T> = readonly [T, ...T[]];

const vendors: Choices<string> = ["acme", "bolt-and-nut", "corner-books", "daily-tea", "evergreen"];
const names: Choices<string> = ["Ana Souza", "Bruno Lima", "Clara Rocha", "Davi Alves", "Elisa Costa"];
const places: Choices<{ readonly city: string; readonly state: string }> = [
  { city: "sao paulo", state: "SP" },
  { city: "rio de janeiro", state: "RJ" },
  { city: "belo horizonte", state: "MG" },
  { city: "porto alegre", state: "RS" },
  { city: "salvador", state: "BA" },
  { city: "recife", state: "PE" },
];

/** Orders without end. `random` gives numbers from 0 to below 1, as `Math.random` does. `vendorIds`: whose orders. */
export function* madeUpOrders(
  random: () => number = Math.random,
  vendorIds: Choices<string> = vendors,
): Generator<Parcel, never> {
  const oneOf = <T>(choices: Choices<T>): T => choices[Math.floor(random() * choices.length)] ?? choices[0];
  for (;;) {
    const number = Math.floor(random() * 2 ** 48);
    yield {
      parcelId: `p-${number.toString(16).padStart(12, "0")}`,
      vendorId: oneOf(vendorIds),
      customer: { name: oneOf(names), ...oneOf(places) },
    };
  }
}

/** Asks for one pickup after the other, with `intervalMs` between a receipt and the next. */
export function makeUp({
  orders,
  intervalMs,
  print,
}: {
  readonly orders: Iterable<Parcel>;
  readonly intervalMs: number;
  readonly print: (line: string) => void;
}): Play {
  return async (ask, signal) => {
    for (const order of orders) {
      try {
        await ask(order);
      } catch (error) {
        if (signal.aborted || !(error instanceof OrreryError) || error.retryable) throw error;
        print(`parcel ${order.parcelId}: refused, ${error.code}: ${error.message}`);
      }
      const dueMs = Date.now() + intervalMs;
      await waitUntilDue(() => dueMs - Date.now(), signal);
    }
  };
}
