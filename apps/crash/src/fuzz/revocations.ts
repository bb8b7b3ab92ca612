import { appendFileSync } from "node:fs";
import { nameOf } from "@orrery/contracts";
import { attackers, revokedWithinMs } from "./cast.ts";
import { Chance, seedOf } from "./chance.ts";
import type { Introduction } from "./standing.ts";

/** Beyond that the file that the hub reads would only grow. */
const most = 500;
/** The hub is told of all satellites once, of tokens as old as this: the bystander's never are. Milliseconds. */
const oldMs = 600_000;

interface Revocation {
  /** Undefined: all. */
  readonly satellite: string | undefined;
  /** Tokens that were issued up to then. Milliseconds since 1970. */
  readonly throughMs: number;
  /** From when on none of them counts. Milliseconds since 1970. */
  readonly fromMs: number;
}

/** What the run has revoked, through the file that the hub watches. */
export class Revocations {
  readonly #file: string;
  readonly #made: Revocation[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /** Makes the next one: old tokens of all first, then those of an attacker whom the seed decides. Answers whose. */
  next(seed: number, nowMs: number): string | undefined {
    const place = this.#made.length;
    if (place >= most) return undefined;
    const isFirst = place === 0;
    const satellite = isFirst ? undefined : nameOf(new Chance(seedOf(seed, place)).pick(attackers));
    const throughMs = isFirst ? nowMs - oldMs : nowMs;
    const line = JSON.stringify({ satellite, issuedBefore: new Date(throughMs).toISOString() });
    appendFileSync(this.#file, `${line}\n`);
    this.#made.push({ satellite, throughMs, fromMs: nowMs + revokedWithinMs });
    return satellite ?? "all";
  }

  /** When the hub must have stopped taking a token. Milliseconds since 1970; never: infinite. */
  endOf({ identity, issuedMs }: Introduction): number {
    const name = identity && nameOf(identity);
    const ends = this.#made.filter(
      ({ satellite, throughMs }) => issuedMs <= throughMs && (satellite === undefined || satellite === name),
    );
    return Math.min(...ends.map(({ fromMs }) => fromMs));
  }
}
