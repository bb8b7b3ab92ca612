// Who takes part in a run, and the files that they leave.
import { join } from "node:path";

export interface PublisherRole {
  readonly name: string;
  /** `file`: what has no receipt yet outlives the process. */
  readonly outbox: "memory" | "file";
}

export interface FollowerRole {
  readonly name: string;
  /** Follows this vendor's events only. Default: all. */
  readonly vendor?: string;
}

/** Processes that say events at full speed. */
export const publishers: readonly PublisherRole[] = [
  { name: "publisher-1", outbox: "memory" },
  { name: "publisher-2", outbox: "file" },
];

export const followers: readonly FollowerRole[] = [
  { name: "follower-1" },
  { name: "follower-2", vendor: "publisher-2.0" },
];

/** A publisher's satellites: `publisher-1.0` and so on. */
export const vendorsOf = (publisher: string): readonly string[] =>
  Array.from({ length: 3 }, (_, place) => `${publisher}.${place}`);

/** The keys of one vendor's events. */
export const keysOf = (vendor: string): readonly string[] =>
  Array.from({ length: 8 }, (_, place) => `${vendor}/${place}`);

/** Below the first serial of a publisher's life: later lives say higher ones. */
export const serialsBefore = (life: number): number => life * 1_000_000_000;

/** How long a satellite may take for what is left when it is told to end. Milliseconds. */
export const finishMs = 120_000;

/**
 * What a satellite's process leaves in its directory: JSON lines, in files of its own for each life, so that only the last
 * line of a file can be torn.
 */
export const traces = {
  receipts: (directory: string, life: number) => join(directory, `${life}.receipts`),
  handled: (directory: string, life: number) => join(directory, `${life}.handled`),
  /** What a life found in the outbox of one of its vendors. */
  left: (directory: string, life: number, vendor: string) => join(directory, `${life}.${vendor}.left`),
  outbox: (directory: string, vendor: string) => join(directory, `${vendor}.outbox`),
};
