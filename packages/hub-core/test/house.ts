import { defineContract } from "@orrery/contracts";
import { z } from "zod";
import { PlainClient } from "./clients.ts";

const Note = z.strictObject({
  id: z.string().max(1_000_000),
  text: z.string().optional(),
  to: z.string().optional(),
});

/** A contract with one event for each way to keep and each kind of audience. */
export const house = defineContract({
  name: "house",
  version: "1.0.0",
  roles: ["host", "guest", "mute"],
  presence: { host: "all" },
  events: {
    said: {
      summary: "Kept, for everybody.",
      data: Note,
      keep: "log",
      key: "id",
      emit: { host: "all", guest: "all" },
      hear: { host: "all", guest: "all" },
    },
    whispered: {
      summary: "Kept, for one guest's room or one satellite.",
      data: Note.extend({ guest: z.string().optional() }),
      keep: "log",
      key: "id",
      rooms: { guest: "guest", satellite: "to" },
      emit: { host: "all", guest: "own" },
      hear: { host: "all", guest: "own" },
    },
    mood: {
      summary: "Only the newest is kept.",
      data: z.strictObject({ who: z.string(), mood: z.string() }),
      keep: "latest",
      key: "who",
      emit: { host: "all", guest: "all" },
      hear: { host: "all", guest: "all" },
    },
    waved: {
      summary: "Not kept.",
      data: z.strictObject({ id: z.string() }),
      keep: "none",
      emit: { host: "all", guest: "all" },
      hear: { host: "all", guest: "all" },
    },
    free: {
      summary: "Takes any JSON.",
      data: z.strictObject({ value: z.json() }),
      keep: "log",
      emit: { host: "all" },
      hear: { host: "all" },
    },
  },
});
export type House = typeof house;
export const contracts = [house];

export const host = { role: "host", id: "h" };

/** A plain client in the house of that hub; what `auth` says of the protocol makes it a batched one. */
export const connect = (
  hub: { readonly url: string },
  auth: object,
  options?: object,
): Promise<PlainClient> => new PlainClient(`${hub.url}/house`, auth, options).connected();

const many = 1_000_000_000;
/** Limits for tests in which a satellite says much, and is not to be slowed down for that. */
export const noRates = {
  eventsPerSecond: many,
  eventsAtOnce: many,
  eventsPerSecondPerSatellite: many,
  bytesPerSecond: many,
  bytesAtOnce: many,
  bytesPerSecondPerSatellite: many,
};
