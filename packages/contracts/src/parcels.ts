import { z } from "zod";
import { defineContract } from "./contract.ts";

const Id = z.string().min(1).max(100);
const When = z.iso.datetime().describe("RFC 3339 in UTC");

export const Parcel = z.strictObject({
  parcelId: Id,
  vendorId: Id,
  customer: z.strictObject({
    name: z.string().min(1).max(200).optional(),
    city: z.string().min(1).max(200),
    state: z.string().min(1).max(100),
  }),
});
export type Parcel = z.infer<typeof Parcel>;

/** Parcels from pickup to delivered. */
export const parcels = defineContract({
  name: "parcels",
  version: "1.0.0",
  roles: ["vendor", "driver", "logger", "board"],
  presence: { logger: "all", board: "all" },
  events: {
    pickup: {
      summary: "A vendor asks for a parcel to be collected.",
      data: Parcel,
      keep: "log",
      key: "parcelId",
      rooms: { vendor: "vendorId" },
      emit: { vendor: "own" },
      hear: { driver: "all", logger: "all", board: "all", vendor: "own" },
    },
    "in-transit": {
      summary: "A driver has collected the parcel and is on the way.",
      data: Parcel.extend({ driverId: Id, collectedAt: When }),
      keep: "log",
      key: "parcelId",
      rooms: { vendor: "vendorId", driver: "driverId" },
      emit: { driver: "own" },
      hear: { logger: "all", board: "all", vendor: "own", driver: "own" },
    },
    delivered: {
      summary: "The customer has the parcel.",
      data: Parcel.extend({ driverId: Id, deliveredAt: When }),
      keep: "log",
      key: "parcelId",
      rooms: { vendor: "vendorId", driver: "driverId" },
      emit: { driver: "own" },
      hear: { logger: "all", board: "all", vendor: "own", driver: "own" },
    },
    position: {
      summary: "Where a driver is now.",
      data: z.strictObject({
        driverId: Id,
        latitude: z.number().min(-90).max(90),
        longitude: z.number().min(-180).max(180),
      }),
      keep: "latest",
      key: "driverId",
      rooms: { driver: "driverId" },
      emit: { driver: "own" },
      hear: { logger: "all", board: "all", driver: "own" },
    },
  },
});
export type Parcels = typeof parcels;
