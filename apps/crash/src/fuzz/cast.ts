// Who takes part in a fuzz run, and the files that they leave.
import { join } from "node:path";
import type { Identity } from "@orrery/contracts";

/** What it says and hears must come through whatever else happens. Nobody else connects under these names. */
export const bystander = {
  vendor: { role: "vendor", id: "bystander" },
  listener: { role: "board", id: "bystander" },
  follower: { role: "logger", id: "bystander" },
} as const satisfies Record<string, Identity>;

/** Between two events of the bystander. Milliseconds. */
export const sayEveryMs = 100;

/** How long the bystander waits at the end for what it has said to be acked, heard and followed. Milliseconds. */
export const drainMs = 15_000;

/** Names that attackers connect under. Few, so that the hub need not remember ever more of them. */
export const attackers: readonly Identity[] = [
  { role: "vendor", id: "a0" },
  { role: "vendor", id: "a1" },
  { role: "driver", id: "a0" },
  { role: "driver", id: "a1" },
  { role: "driver", id: "a2" },
  { role: "logger", id: "a0" },
  { role: "board", id: "a0" },
];

/** Names that they share work and follow under. */
export const groups = ["drivers", "g1"] as const;
export const followers = ["billing", "f1"] as const;

/** Attackers' connections at once. */
export const mostConnections = 24;
/** What all of them say together. A second. */
export const sayingsPerSecond = 300;
/** How long an answer may take that the protocol promises, on a busy machine. Milliseconds. */
export const answerMs = 10_000;

/** JSON lines, or one JSON text, in the directory of whoever leaves it. */
export const files = {
  traces: (directory: string) => join(directory, "1.traces"),
  tally: (directory: string) => join(directory, "tally.json"),
  /** The hub's, over the time of the attack. */
  memory: (directory: string) => join(directory, "memory.json"),
  /** What was said last: where the hub has ended, one of these is why. */
  saidLast: (directory: string) => join(directory, "said-last.json"),
};

/** What happens to the bystander. `atMs`: milliseconds since 1970, with fractions. */
export type Trace = { readonly atMs: number } & (
  | { readonly what: "said"; readonly serial: number }
  | { readonly what: "acked" | "heard" | "followed"; readonly serial: number; readonly offset: number }
  /** A question to the hub that needs no disk, asked together with what was said. */
  | { readonly what: "answered"; readonly serial: number }
  | { readonly what: "refused"; readonly serial: number; readonly code: string }
  | { readonly what: "gap"; readonly reason: string }
  | { readonly what: "status"; readonly who: string; readonly status: string; readonly code?: string }
);
