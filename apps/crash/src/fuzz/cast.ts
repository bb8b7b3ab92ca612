// Who takes part in a fuzz run, and the files that they leave.
import { join } from "node:path";
import type { Identity } from "@orrery/contracts";

/** What it says and hears must come through whatever else happens. Nobody else connects under these names. */
export const bystander = {
  vendor: { role: "vendor", id: "bystander" },
  listener: { role: "board", id: "bystander" },
  follower: { role: "logger", id: "bystander" },
} as const satisfies Record<string, Identity>;

/** What the hub goes by: tokens, or, on loopback only, what a handshake says. */
export type Mode = "tokens" | "open";

/** The bystander's tokens: short, so that it renews them under attack. Milliseconds. */
export const bystanderTokenMs = 60_000;

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

/** How long the hub serves a connection whose token has run out: its default. Milliseconds. */
export const tokenGraceMs = 30_000;
/** Between two revocations of the run. Milliseconds. */
export const revokeEveryMs = 10_000;
/** From when a revocation is in the hub's file until it counts: the hub looks four times a second. Milliseconds. */
export const revokedWithinMs = 1_000;

/** JSON lines, or one JSON text, in the directory of whoever leaves it. */
export const files = {
  traces: (directory: string) => join(directory, "1.traces"),
  tally: (directory: string) => join(directory, "tally.json"),
  /** The hub's, over the time of the attack. */
  memory: (directory: string) => join(directory, "memory.json"),
  /** What was said last: where the hub has ended, one of these is why. */
  saidLast: (directory: string) => join(directory, "said-last.json"),
  /** What signs and checks all tokens of the run. */
  key: (directory: string) => join(directory, "key.json"),
  /** What the hub watches. */
  revoked: (directory: string) => join(directory, "revoked.json"),
};

/** What happens to the bystander. `atMs`: milliseconds since 1970, with fractions. */
export type Trace = { readonly atMs: number } & (
  | { readonly what: "said"; readonly serial: number }
  | { readonly what: "acked" | "heard" | "followed"; readonly serial: number; readonly offset: number }
  /** A question to the hub that needs no disk, asked together with what was said. */
  | { readonly what: "answered"; readonly serial: number }
  | { readonly what: "refused"; readonly serial: number; readonly code: string }
  /** Heard in its room, or under its name, and not said by it. */
  | { readonly what: "foreign"; readonly source: string; readonly offset: number }
  | { readonly what: "gap"; readonly reason: string }
  | { readonly what: "status"; readonly who: string; readonly status: string; readonly code?: string }
);
