import { OrreryError, satelliteId } from "@orrery/contracts";
import type { EventLog, RecordChange } from "@orrery/event-log";
import type { Publisher } from "./publish.ts";

/** Which tokens are good no more. */
export interface Revocation {
  /** `vendor:acme`; missing: all satellites. */
  readonly satellite?: string;
  /**
   * Those that were issued at or before this time. Milliseconds since 1970, default now. A token says when it was issued in
   * whole seconds, so one that is issued in the same second is revoked too.
   */
  readonly issuedBefore?: number;
}

/** Stands for all satellites: none is called so. */
const all = "*";

/**
 * Until when issued tokens are revoked: of all satellites, and of single ones. Kept as records of the log, one for each; nobody
 * knows how long a token may live, so one goes only when a later revocation of all covers it.
 */
export class Revocations {
  readonly #log: EventLog;
  readonly #publisher: Publisher;
  readonly #roles: ReadonlySet<string>;
  readonly #through = new Map<string, number>();
  #loading: Promise<void> | undefined;

  /** `roles`: all that there are. */
  constructor(log: EventLog, publisher: Publisher, roles: ReadonlySet<string>) {
    this.#log = log;
    this.#publisher = publisher;
    this.#roles = roles;
  }

  /** Resolves when what an earlier run of the hub has kept is known. Where the log fails, the next one who asks tries again. */
  loaded(): Promise<void> {
    this.#loading ??= this.#load().catch((error) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** The satellite's tokens that were issued up to then are revoked. Milliseconds since 1970. */
  through(satellite: string): number {
    return Math.max(this.#of(satellite), this.#of(all));
  }

  /**
   * Counts at once, and takes no other one back. Resolves when it is on disk; rejects where the log refuses, and with
   * `CONFIG_INVALID` where it names what can be no satellite, or no time.
   */
  async add({ satellite = all, issuedBefore = Date.now() }: Revocation): Promise<void> {
    if (satellite !== all && !this.#isSatellite(satellite)) {
      throw new OrreryError("CONFIG_INVALID", { detail: `Not a satellite's name: ${satellite}.` });
    }
    if (!Number.isSafeInteger(issuedBefore) || issuedBefore < 0) {
      throw new OrreryError("CONFIG_INVALID", { detail: `Not a time: ${issuedBefore}.` });
    }
    this.#raise(satellite, issuedBefore);
    await this.loaded(); // a later one may be on disk already
    const covered = satellite === all ? this.#covered() : [];
    const changes: RecordChange[] = covered.map((name) => ({ name: record(name), value: null }));
    await this.#publisher.record([...changes, { name: record(satellite), value: this.#valueOf(satellite) }]);
    for (const name of covered) if (this.#of(name) <= this.#of(all)) this.#through.delete(name);
  }

  /** A role that no contract has is a slip of the pen, and nobody would be stopped. */
  #isSatellite(name: string): boolean {
    const colon = name.indexOf(":");
    return this.#roles.has(name.slice(0, colon)) && satelliteId.test(name.slice(colon + 1));
  }

  async #load(): Promise<void> {
    for (const [name, value] of await this.#log.records(record(""))) {
      this.#raise(name.slice(record("").length), JSON.parse(value).issuedBefore);
    }
  }

  /** The satellites whose own revocation says nothing that the one of all does not. */
  #covered(): string[] {
    return [...this.#through].flatMap(([name, ms]) => (name !== all && ms <= this.#of(all) ? [name] : []));
  }

  #raise(name: string, issuedBefore: number): void {
    this.#through.set(name, Math.max(this.#of(name), issuedBefore));
  }

  #of(name: string): number {
    return this.#through.get(name) ?? Number.NEGATIVE_INFINITY;
  }

  #valueOf(name: string): string {
    return JSON.stringify({ issuedBefore: this.#of(name) });
  }
}

const record = (name: string): string => `revoked/${name}`;
