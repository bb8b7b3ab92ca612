import type { ClaimRef, HeardEntry } from "@orrery/contracts";
import type { Chance } from "./chance.ts";

/** Of each kind, what was learned last is remembered. */
const mostKnown = 64;

/** What attackers have learned of the hub, so that what they say fits, or is just no longer true. */
export class Known {
  #epoch = "unknown";
  #head = 0;
  readonly #ids: string[] = [];
  readonly #claims: ClaimRef[] = [];
  readonly #givenUp: number[] = [];
  readonly #sids: string[] = [];

  /** `<epoch>:<offset>`. */
  learnCursor(cursor: unknown): void {
    const [, epoch, digits] = (typeof cursor === "string" && /^([^:]+):(\d+)$/.exec(cursor)) || [];
    if (epoch === undefined) return;
    this.#epoch = epoch;
    this.#head = Math.max(this.#head, Number(digits));
  }

  learnEntry([, , { id, offset = 0 }]: HeardEntry): void {
    keep(this.#ids, id);
    this.#head = Math.max(this.#head, offset);
  }

  learnClaim(claim: ClaimRef): void {
    keep(this.#claims, claim);
  }

  /** Of an event that is dead or parked. */
  learnGivenUp(offset: number): void {
    keep(this.#givenUp, offset);
  }

  /** Of an Engine.IO connection that any attacker may abuse. */
  learnSid(sid: string): void {
    keep(this.#sids, sid);
  }

  /** One that the hub gave, one of its log, one beyond its end, or one of another log. */
  cursor(chance: Chance): `${string}:${number}` {
    const kind = chance.weighted({ recent: 6, any: 2, beyond: 1, other: 1 });
    const back = chance.below(200);
    const any = chance.below(this.#head + 1);
    switch (kind) {
      case "recent":
        return `${this.#epoch}:${Math.max(0, this.#head - back)}`;
      case "any":
        return `${this.#epoch}:${any}`;
      case "beyond":
        return `${this.#epoch}:${this.#head + 1_000_000}`;
      case "other":
        return `another:${any}`;
    }
  }

  /** A place in the log, mostly a recent one. */
  offset(chance: Chance): number {
    return Math.max(1, this.#head - chance.below(300));
  }

  /** Of an event that is dead or parked, or was. */
  givenUp(chance: Chance): number {
    return chance.pickOr(this.#givenUp, 1);
  }

  /** Of an event that was heard: for the satellite that has said it, to say it again is a duplicate, or `ID_REUSED`. */
  id(chance: Chance): string {
    return chance.pickOr(this.#ids, "nobody-said-this");
  }

  /** Of this satellite, of another one, or over since long. */
  claim(chance: Chance): ClaimRef {
    return chance.pickOr(this.#claims, { group: "drivers", offset: 1, token: 1 });
  }

  sid(chance: Chance): string {
    return chance.pickOr(this.#sids, "AAAAAAAAAAAAAAAAAAAA");
  }
}

function keep<One>(all: One[], one: One): void {
  all.push(one);
  if (all.length > mostKnown) all.shift();
}
