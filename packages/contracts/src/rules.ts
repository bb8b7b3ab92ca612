// What a contract means for one event and one satellite: key, rooms and rights. Pure, the same in hub and satellite.
import type { Contract, EventName, EventRuntime, Scope } from "./contract.ts";

/** Who a satellite is. */
export interface Identity {
  readonly role: string;
  /** `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`. */
  readonly id: string;
}

/** The pattern of a satellite's id. */
export const satelliteId = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** `vendor:acme`, as it stands in `meta.source`. */
export const nameOf = ({ role, id }: Identity): string => `${role}:${id}`;

/** The rooms that are a satellite's own: its role's room and its individual one. */
export const ownRooms = ({ role, id }: Identity): readonly string[] => [`${role}:${id}`, `satellite:${id}`];

/** A contract's event by a name that may come from anybody; nothing that only the prototype has is an event. */
export function eventOf(contract: Contract, name: unknown): EventRuntime | undefined {
  return typeof name === "string" && Object.hasOwn(contract.events, name) ? contract.events[name] : undefined;
}

/** What of a contract is emitted and heard, in its order: its questions are not. */
export function eventNames<C extends Contract>(contract: C): readonly EventName<C>[] {
  const names = Object.keys(contract.events).filter((name) => contract.events[name]?.reply === undefined);
  return names as readonly string[] as readonly EventName<C>[];
}

/** The value of the event's key, or undefined where it has none. `data` has passed the event's schema. */
export function keyOf(event: EventRuntime, data: Readonly<Record<string, unknown>>): string | undefined {
  return event.key === undefined ? undefined : (data[event.key] as string);
}

/** The rooms that the event concerns, in the order of the contract. `data` has passed the event's schema. */
export function roomsOf(event: EventRuntime, data: Readonly<Record<string, unknown>>): string[] {
  const rooms: string[] = [];
  for (const prefix in event.rooms) {
    const value = data[event.rooms[prefix] as string];
    if (typeof value === "string") rooms.push(`${prefix}:${value}`);
  }
  return rooms;
}

/** Whether `role` may say or hear at all, and how widely. `rights` is an event's `emit` or `hear`. */
export function scopeOf(rights: EventRuntime["emit"], role: string): Scope | undefined {
  return Object.hasOwn(rights, role) ? rights[role] : undefined;
}

/** Whether an event in `rooms` is within `scope` for a satellite whose rooms are `own`. */
export function isWithin(
  scope: Scope | undefined,
  own: readonly string[],
  rooms: readonly string[],
): boolean {
  return scope === "all" || (scope === "own" && rooms.some((room) => own.includes(room)));
}
