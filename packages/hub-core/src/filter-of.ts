import {
  type Contract,
  type ErrorBody,
  errorBody,
  eventOf,
  type Identity,
  ownRooms,
  scopeOf,
} from "@orrery/contracts";
import type { Filter } from "@orrery/event-log";
import type { Limits } from "./limits.ts";

/**
 * What a satellite hears when it asks for these events and rooms; without them, all that its role may hear. Asking for
 * more than the contract allows is refused as a whole.
 */
export function filterOf(
  contract: Contract,
  identity: Identity,
  events: readonly string[] | undefined,
  rooms: readonly string[] | undefined,
  limits: Limits,
): Filter | ErrorBody {
  if (rooms !== undefined && rooms.length > limits.listenRooms) return errorBody("MESSAGE_INVALID");
  if (rooms?.some((room) => !isRoom(contract, room, limits))) return errorBody("ROOM_INVALID");
  const own = ownRooms(identity);
  const wanted = new Map<string, "all" | ReadonlySet<string>>();
  for (const name of new Set(events ?? Object.keys(contract.events))) {
    const event = eventOf(contract, name);
    if (event === undefined) return errorBody("UNKNOWN_EVENT");
    if (event.reply !== undefined) {
      if (events !== undefined) return errorBody("IS_A_QUESTION");
      continue;
    }
    const scope = scopeOf(event.hear, identity.role);
    if (scope === undefined) {
      if (events !== undefined) return errorBody("FORBIDDEN");
      continue;
    }
    if (scope === "own" && rooms?.some((room) => !own.includes(room))) return errorBody("FORBIDDEN");
    const narrowed = rooms ?? (scope === "own" ? own : undefined);
    const inRooms = narrowed?.filter((room) => Object.hasOwn(event.rooms ?? {}, prefixOf(room)));
    wanted.set(name, inRooms === undefined ? "all" : new Set(inRooms));
  }
  return { contract: contract.name, events: wanted };
}

const prefixOf = (room: string): string => room.slice(0, room.indexOf(":"));

/** Whether a room's name has a prefix that the contract knows, and is no longer than the hub keeps. */
export function isRoom(contract: Contract, room: string, { roomLength }: Limits): boolean {
  const prefix = prefixOf(room);
  const isKnown = Object.values(contract.events).some(
    ({ rooms }) => rooms !== undefined && Object.hasOwn(rooms, prefix),
  );
  return isKnown && room.length > prefix.length + 1 && room.length <= roomLength;
}

/** The same text for filters that want the same, whatever order they say it in. */
export function filterName({ events }: Filter): string {
  const parts = [...events].map(
    ([event, rooms]) => [event, rooms === "all" ? rooms : [...rooms].sort()] as const,
  );
  return JSON.stringify(parts.sort(([a], [b]) => (a < b ? -1 : 1)));
}
