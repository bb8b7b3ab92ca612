import {
  type Contract,
  eventOf,
  type HeardEntry,
  type Identity,
  isWithin,
  ownRooms,
  roomsOf,
  scopeOf,
} from "@orrery/contracts";

/** Whether the satellite may hear an event that was kept for it, by the contract as it is now: it may be another one by then. */
export function mayHear(contract: Contract, identity: Identity, [name, data]: HeardEntry): boolean {
  const event = eventOf(contract, name);
  if (event === undefined) return false;
  const rooms = roomsOf(event, data as Readonly<Record<string, unknown>>);
  return isWithin(scopeOf(event.hear, identity.role), ownRooms(identity), rooms);
}

/** Whether a role hears only its own of one of the events, so that what one satellite hears of them is no other one's. */
export const hearsOwn = (contract: Contract, role: string, events: readonly string[]): boolean =>
  events.some((name) => scopeOf(eventOf(contract, name)?.hear ?? {}, role) === "own");
