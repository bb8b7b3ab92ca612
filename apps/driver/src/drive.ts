import { depot, onTheWay, type Place, placeOf } from "./places.ts";

interface Load {
  readonly to: Place;
  /** When it is to be there. Milliseconds since 1970. */
  readonly dueMs: number;
}

/** Where a driver is, told now and then while there is something on board: on the way to whichever load is due next. */
export class Drive {
  readonly #everyMs: number;
  readonly #tell: (place: Place) => Promise<unknown>;
  readonly #loads = new Set<Load>();
  #at = depot;
  #timer: NodeJS.Timeout | undefined;
  #isTelling = false;

  /** `tell` is not called again before it has settled: where a driver was while the hub was away is of no use to anybody. */
  constructor({
    everyMs,
    tell,
  }: {
    readonly everyMs: number;
    readonly tell: (place: Place) => Promise<unknown>;
  }) {
    this.#everyMs = everyMs;
    this.#tell = tell;
  }

  /** Something is on board, for a customer in that state. Call what it returns when it is not any more. */
  load(state: string, dueMs: number): () => void {
    const to = placeOf(state);
    if (to === undefined) return () => undefined;
    const load = { to, dueMs };
    this.#loads.add(load);
    this.#timer ??= setInterval(() => this.#goOn(), this.#everyMs);
    return () => {
      this.#loads.delete(load);
      if (this.#loads.size === 0) this.stop();
    };
  }

  /** Tells nothing more before the next load. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #goOn(): void {
    const [first, ...others] = this.#loads;
    if (first === undefined) return;
    const { to, dueMs } = others.reduce((next, load) => (load.dueMs < next.dueMs ? load : next), first);
    this.#at = onTheWay(this.#at, to, this.#everyMs, dueMs - Date.now() + this.#everyMs);
    if (!this.#isTelling) void this.#tellPlace();
  }

  async #tellPlace(): Promise<void> {
    this.#isTelling = true;
    await this.#tell(this.#at);
    this.#isTelling = false;
  }
}
