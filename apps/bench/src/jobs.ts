import { defineContract } from "@orrery/contracts";
import { Parcel } from "@orrery/contracts/parcels";
import { keptParcels, parcelOf } from "./parcel.ts";

/** The same work twice: with a key, whose events are worked one at a time and in order, and without one. */
export const jobs = defineContract({
  name: "jobs",
  version: "1.0.0",
  roles: ["giver", "worker"],
  events: {
    keyed: {
      summary: "Work on a parcel, after all earlier work on it.",
      data: Parcel,
      keep: "log",
      key: "parcelId",
      emit: { giver: "all" },
      hear: { worker: "all" },
    },
    unordered: {
      summary: "Work on a parcel, beside any other.",
      data: Parcel,
      keep: "log",
      emit: { giver: "all" },
      hear: { worker: "all" },
    },
  },
});

/** Some 270 bytes of JSON. The keys take turns. `saidMs`: on the machine's clock, just before it is said. Milliseconds. */
export const jobOf = (number: number, saidMs: number): Parcel => ({
  ...parcelOf(0, number % keptParcels),
  vendorId: `${number}@${saidMs}`,
});

export function jobFrom({ vendorId }: Parcel): { readonly number: number; readonly saidMs: number } {
  const [number, saidMs] = vendorId.split("@").map(Number);
  return { number: number as number, saidMs: saidMs as number };
}
