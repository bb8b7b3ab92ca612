import { type Identity, nameOf } from "@orrery/contracts";
import { tokenGraceMs } from "./cast.ts";
import type { Revocations } from "./revocations.ts";

/** Who somebody says he is, and what that is worth. */
export interface Introduction {
  /** Undefined: it cannot be told. */
  readonly identity: Identity | undefined;
  /** Why the hub must refuse it; missing: it need not. */
  readonly fault?: string | undefined;
  /** Of its token. Milliseconds since 1970. */
  readonly issuedMs: number;
  readonly expiresMs: number;
}

/** In open mode: whoever it is, for ever. */
export const believed = (identity: Identity | undefined): Introduction => ({
  identity,
  issuedMs: Number.POSITIVE_INFINITY,
  expiresMs: Number.POSITIVE_INFINITY,
});

/**
 * What a connection has shown: whether the hub may let it in, as whom and until when. Generous: all that it has shown counts, also
 * where the hub has refused it for another reason, so that what is found is a fault of the hub.
 */
export class Standing {
  readonly #revocations: Revocations;
  readonly #shown: Introduction[];
  readonly #faults: string[] = [];

  constructor(revocations: Revocations, shown: readonly Introduction[] = []) {
    this.#revocations = revocations;
    this.#shown = [...shown];
  }

  /** Answers why the hub must refuse what is shown now; undefined: it need not. */
  show(introduction: Introduction, nowMs: number): string | undefined {
    const fault = introduction.fault ?? (this.#endOf(introduction) <= nowMs ? "revoked" : undefined);
    if (fault === undefined) this.#shown.push(introduction);
    else this.#faults.push(fault);
    return fault;
  }

  get mayEnter(): boolean {
    return this.#shown.length > 0;
  }

  /** Of what it has shown, for people. */
  get faults(): readonly string[] {
    return this.#faults;
  }

  mayBe(satellite: Identity): boolean {
    return this.#shown.some(
      ({ identity }) => identity === undefined || nameOf(identity) === nameOf(satellite),
    );
  }

  /** From when on the hub does nothing for it any more. Milliseconds since 1970. */
  get overMs(): number {
    return Math.max(...this.#shown.map((one) => this.#endOf(one)));
  }

  #endOf(introduction: Introduction): number {
    return Math.min(introduction.expiresMs + tokenGraceMs, this.#revocations.endOf(introduction));
  }
}
