import type { PresenceChange, Present } from "@orrery/contracts";

/** What the user is told of a satellite. */
export interface PresenceNews {
  readonly kind: "came" | "went";
  readonly satellite: Present;
}

/**
 * Who is there as the hub says it, against who is there as the user was told; each thing that is taken in gives what to tell
 * now. A satellite that a new snapshot does not have is missed, and not told of yet: the hub may have started again, and the
 * satellite be on its way back to it. No clock, no sockets.
 */
export class PresenceView {
  /** By name, those of whom it was told that they came, and not that they went. */
  readonly #told = new Map<string, Present>();
  /** Of these, those that the latest snapshot does not have, or not yet. */
  #missed = new Set<string>();

  /** A new snapshot begins, in pages, with changes between them. */
  begin(): void {
    this.#missed = new Set(this.#told.keys());
  }

  /** The hub says that they are there. */
  add(satellites: readonly Present[]): readonly PresenceNews[] {
    return satellites.flatMap(({ satellite, role, id, since }) => {
      this.#missed.delete(satellite);
      const isNew = !this.#told.has(satellite);
      const present = { satellite, role, id, since };
      this.#told.set(satellite, present);
      return isNew ? [{ kind: "came", satellite: present } as const] : [];
    });
  }

  change({ kind, ...present }: PresenceChange): readonly PresenceNews[] {
    return kind === "came" ? this.add([present]) : this.#remove([present.satellite]);
  }

  /** Whether somebody is missed. */
  get isMissing(): boolean {
    return this.#missed.size > 0;
  }

  /** The time is over in which those that are missed might have come back. */
  giveUp(): readonly PresenceNews[] {
    return this.#remove([...this.#missed]);
  }

  #remove(names: readonly string[]): readonly PresenceNews[] {
    return names.flatMap((name) => {
      const satellite = this.#told.get(name);
      this.#told.delete(name);
      this.#missed.delete(name);
      return satellite === undefined ? [] : [{ kind: "went", satellite } as const];
    });
  }
}
