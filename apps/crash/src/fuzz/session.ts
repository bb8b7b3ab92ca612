import type { Identity } from "@orrery/contracts";
import { attackers } from "./cast.ts";
import { Chance, seedOf } from "./chance.ts";
import { type Form, handshakeOf, wrongHandshake } from "./handshake.ts";

export type Kind = "http" | "frames" | "engine" | "packets" | "messages";

/** One attacker's visit. What it says is decided step by step, by `chanceOf`, since it depends on what was learned. */
export interface Session {
  readonly kind: Kind;
  readonly identity: Identity;
  readonly form: Form;
  /** Whether it says who it is as it should; `none`: it goes on at once. */
  readonly handshake: "right" | "wrong" | "none";
  /** What it says of itself. */
  readonly auth: unknown;
  /** Whether it reads what it is told: as it comes, after a while, or not at all. */
  readonly reads: "always" | "late" | "never";
  /** `waiting`: for all answers that are promised. */
  readonly ends: "waiting" | "closing" | "dropping" | "resetting";
  readonly steps: number;
}

/** The visit at this place of the run; the same for the same seed. A longer run begins like a shorter one. Pure. */
export function sessionOf(seed: number, place: number): Session {
  const chance = new Chance(seedOf(seed, place));
  const kind = chance.weighted({ http: 4, frames: 3, engine: 3, packets: 4, messages: 6 });
  const isMessages = kind === "messages";
  const identity = chance.pick(attackers);
  const form = chance.oneIn(4) ? "plain" : "batched";
  const handshake = chance.weighted({ right: 12, wrong: 3, none: isMessages ? 0.3 : 3 });
  const reads = chance.weighted({ always: 12, late: isMessages ? 1 : 0, never: isMessages ? 1 : 0 });
  const ends = chance.weighted({ waiting: 6, closing: 2, dropping: 2, resetting: 1 });
  const steps = 1 + chance.below(isMessages ? 60 : 5);
  const wrong = wrongHandshake(identity, form, chance);
  const auth = handshake === "wrong" ? wrong : handshakeOf(identity, form);
  return { kind, identity, form, handshake, auth, reads, ends, steps };
}

/** What decides a step of a visit, or, with another `row`, how it answers what it is told. */
export const chanceOf = (seed: number, place: number, step: number, row: "says" | "answers"): Chance =>
  new Chance(seedOf(seed, place, step + 1, row === "says" ? 1 : 2));
