/** How many there are of each name. Of a name that has none nothing is kept. */
export class Tally {
  readonly #counts = new Map<string, number>();

  /** Of how many names something is kept. */
  get size(): number {
    return this.#counts.size;
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** One more, until what this returns is called, once or more. */
  add(name: string): () => void {
    let isCounted = true;
    this.#counts.set(name, this.of(name) + 1);
    return () => {
      if (isCounted) this.#remove(name);
      isCounted = false;
    };
  }

  #remove(name: string): void {
    const left = this.of(name) - 1;
    if (left === 0) this.#counts.delete(name);
    else this.#counts.set(name, left);
  }
}
