import { styleText } from "node:util";
import { type EventName, type Meta, roomsOf } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";

const colours: Record<EventName<Parcels>, Parameters<typeof styleText>[0]> = {
  pickup: "cyan",
  "in-transit": "yellow",
  delivered: "green",
  position: "gray",
};
const width = Math.max(...Object.keys(parcels.events).map((event) => event.length)) + 1;

/**
 * An event for people: time in UTC, event, key and rooms, `16:17:16.081 pickup      2e7a8482… vendor:1554…`. The event is
 * coloured where stdout is a terminal; NO_COLOR and FORCE_COLOR are respected.
 */
export function lineOf(
  event: EventName<Parcels>,
  data: Readonly<Record<string, unknown>>,
  { time, subject = "" }: Meta,
): string {
  const rooms = roomsOf(parcels.events[event], data).map((room) => {
    const [prefix = "", id = ""] = room.split(/:(.*)/s);
    return `${prefix}:${short(id, 4)}`;
  });
  const name = styleText(colours[event], event.padEnd(width));
  return [time.slice(11, 23), name, short(subject, 8), ...rooms].join(" ");
}

/** An id at its full length where it is one that people chose. */
const short = (id: string, length: number): string => (id.length > 12 ? `${id.slice(0, length)}…` : id);
