// Who is connected, as the hub tells it to roles that the contract's `presence` names.
import type { Refused } from "./wire.ts";

/** A satellite that is there: one, however many connections it has. */
export interface Present<Role extends string = string> {
  /** `driver:d1`, as in `meta.source`. */
  readonly satellite: string;
  readonly role: Role;
  readonly id: string;
  /** Since when, seen from the hub that runs now: RFC 3339 in UTC. It stays while no loss lasts longer than the grace. */
  readonly since: string;
}

/** How one stands when the hub is asked. */
export interface SatelliteStatus<Role extends string = string> extends Present<Role> {
  /** Its own rooms, and those to which its connections have narrowed what they hear live. Sorted, the first 100. */
  readonly rooms: readonly string[];
  /** How many these are in all, where there are more than 100. */
  readonly roomCount?: number;
  /** 0: the last one was lost just now, and the grace is not over. */
  readonly connections: number;
  /**
   * How many places of the log it is behind the newest: where it has several connections, or follows under several names,
   * the one that is furthest. 0 where it hears all at once, or nothing. Work is its group's, in `hub:groups`.
   */
  readonly lag: number;
}

export interface WhoRequest {
  /** The page behind this name; missing: the first. */
  readonly after?: string;
  /** From this answer on, changes come as `hub:presence`, until `hub:unwatch`. */
  readonly watch?: boolean;
}

export type WhoReply =
  | {
      readonly ok: true;
      /** Sorted by name. Who watches has heard of all changes before it, and hears of all after it. */
      readonly satellites: readonly SatelliteStatus[];
      /** There are more behind this name. */
      readonly next?: string;
      /** How long after its last connection is gone a satellite counts as there. Milliseconds. */
      readonly graceMs: number;
    }
  | Refused;

export interface PresenceChange extends Present {
  readonly kind: "came" | "went";
}

export interface PresenceMessage {
  /** In their order. */
  readonly changes: readonly PresenceChange[];
  /** Some changes were not told, because the connection did not read, and no more are: ask `hub:who` again. */
  readonly isOver?: true;
}
