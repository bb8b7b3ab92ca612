import type { Identity } from "@orrery/contracts";
import { attackers, type Mode } from "./cast.ts";
import { Chance, seedOf } from "./chance.ts";
import type { Form } from "./handshake.ts";

/** `tokens`: only where the hub checks them. */
export type Kind = "http" | "frames" | "engine" | "packets" | "messages" | "tokens";

/** One attacker's visit. What it says is decided step by step, by `chanceOf`, since it depends on what was learned. */
export interface Session {
  readonly kind: Kind;
  readonly identity: Identity;
  readonly form: Form;
  /** Whether it says who it is as it should; `none`: it goes on at once. */
  readonly handshake: "right" | "wrong" | "none";
  /** Whether it reads what it is told: as it comes, after a while, or not at all. */
  readonly reads: "always" | "late" | "never";
  /** `waiting`: for all answers that are promised. `outstaying`: for the hub to end what is over soon. */
  readonly ends: "waiting" | "outstaying" | "closing" | "dropping" | "resetting";
  readonly steps: number;
}

/** The visit at this place of the run; the same for the same seed. A longer run begins like a shorter one. Pure. */
export function sessionOf(seed: number, place: number, mode: Mode): Session {
  const chance = new Chance(seedOf(seed, place));
  const tokens = mode === "tokens" ? 4 : 0;
  const kind = chance.weighted({ http: 4, frames: 3, engine: 3, packets: 4, messages: 6, tokens });
  const [isMessages, isTokens] = [kind === "messages", kind === "tokens"];
  const identity = chance.pick(attackers);
  const form = chance.oneIn(4) ? "plain" : "batched";
  const handshake = chance.weighted({ right: 12, wrong: 3, none: isMessages || isTokens ? 0.3 : 3 });
  const reads = chance.weighted({ always: 12, late: isMessages ? 1 : 0, never: isMessages ? 1 : 0 });
  const outstaying = isTokens ? 2 : 0;
  const ends = chance.weighted({ waiting: 6, outstaying, closing: 2, dropping: 2, resetting: 1 });
  const mostSteps = ends === "outstaying" ? 3 : isMessages ? 60 : isTokens ? 15 : 5;
  const steps = 1 + chance.below(mostSteps);
  return { kind, identity, form, handshake, reads, ends, steps };
}

const rows = { says: 1, answers: 2, enters: 3 } as const;

/** What decides a step of a visit, or, with another `row`, how it answers what it is told, and says who it is. */
export const chanceOf = (seed: number, place: number, step: number, row: keyof typeof rows): Chance =>
  new Chance(seedOf(seed, place, step + 1, rows[row]));
