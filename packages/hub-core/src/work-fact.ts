import type { Contract, HistoryEntry } from "@orrery/contracts";
import type { NewEvent } from "@orrery/event-log";

/** What the hub itself says, in the log, of how an attempt ended. */
export type WorkFact = Omit<Extract<HistoryEntry, { readonly kind: "attempt" }>, "kind" | "time"> & {
  readonly role: string;
};

/** No event of a contract can have this name, so nobody hears it. */
export const workEventName = "hub:work";

/**
 * What the ids of all facts of an event begin with, so that the log finds the first of them. With a space no satellite can give its
 * events such an id.
 */
export const factsOf = (offset: number): string => `${offset} `;

/** `id`: sorts behind those that were made in earlier milliseconds. `cause`: the id of the event that was worked on. */
export function workEvent(
  { name }: Contract,
  id: string,
  key: string,
  cause: string,
  fact: WorkFact,
  timeMs: number,
): NewEvent {
  return {
    contract: name,
    id: factsOf(fact.offset) + id,
    event: workEventName,
    key,
    rooms: [],
    source: fact.by,
    timeMs,
    data: JSON.stringify(fact),
    keep: "log",
    cause,
  };
}
