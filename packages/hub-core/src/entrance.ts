import { type Contract, type ErrorBody, errorBody, type Identity } from "@orrery/contracts";
import type { HubSocket } from "./audience.ts";
import type { Connection } from "./connection.ts";
import { filterOf } from "./filter-of.ts";
import { type Handshake, readOpen, readWithToken, satelliteOf } from "./identity.ts";
import type { Limits } from "./limits.ts";
import type { Logger } from "./logger.ts";
import { openSession } from "./session.ts";
import type { Tally } from "./tally.ts";
import type { Tokens } from "./tokens.ts";

/** Refused tokens that one connection may present before it is ended: checking them is work, and nobody errs so often. */
const mostRefused = 10;

/** What a connection has tried. */
interface Attempts {
  /** Contracts whose handshake is being checked. */
  readonly underWay: Set<string>;
  /** The satellites that it was let in as, with the contract of each. */
  readonly countedFor: Set<string>;
  refused: number;
}

/** Lets connections in, or not. */
export class Entrance {
  readonly #tokens: Tokens | undefined;
  readonly #limits: Limits;
  readonly #logger: Logger;
  readonly #attempts = new WeakMap<Connection, Attempts>();
  /** The connections of each satellite of a contract. */
  readonly #inside: Tally;
  #hasWarned = false;

  /** Without `tokens` the hub is in open mode. `inside`: where each satellite's connections are counted. */
  constructor(tokens: Tokens | undefined, limits: Limits, logger: Logger, inside: Tally) {
    this.#inside = inside;
    this.#tokens = tokens;
    this.#limits = limits;
    this.#logger = logger;
  }

  /** Sets the socket's `data`, or answers why it is refused. One check of a connection and contract at a time. */
  async enter(contract: Contract, socket: HubSocket): Promise<ErrorBody | undefined> {
    const attempts = this.#attempts.get(socket.conn) ?? {
      underWay: new Set(),
      countedFor: new Set(),
      refused: 0,
    };
    this.#attempts.set(socket.conn, attempts);
    if (attempts.underWay.has(contract.name)) return errorBody("HANDSHAKE_INVALID");
    attempts.underWay.add(contract.name);
    const handshake = await this.#handshake(contract, socket);
    attempts.underWay.delete(contract.name);
    if (!("code" in handshake)) {
      const isIn = this.#letIn(contract, handshake.identity, socket.conn, attempts);
      if (!isIn) return errorBody("CONNECTIONS_TOO_MANY");
      socket.data = handshake;
      return undefined;
    }
    if (!handshake.retryable) attempts.refused += 1;
    // When the refusal is on its way.
    if (attempts.refused >= mostRefused) setImmediate(() => socket.conn.close());
    return handshake;
  }

  /** Whether the satellite may have the connection too; it is then counted until it is gone. */
  #letIn({ name }: Contract, identity: Identity, connection: Connection, { countedFor }: Attempts): boolean {
    const satellite = satelliteOf(name, identity);
    // One that has left the contract may join again; one that is gone by now never joins.
    if (countedFor.has(satellite) || connection.readyState === "closed") return true;
    if (this.#inside.of(satellite) >= this.#limits.connectionsPerSatellite) return false;
    countedFor.add(satellite);
    connection.once("close", this.#inside.add(satellite));
    return true;
  }

  async #handshake(contract: Contract, socket: HubSocket): Promise<Handshake | ErrorBody> {
    const auth = { ...socket.handshake.auth };
    delete socket.handshake.auth.token; // whoever logs a handshake logs no secret
    const handshake =
      this.#tokens === undefined ? this.#open(contract, auth) : await presented(this.#tokens, contract, auth);
    if ("code" in handshake) return handshake;
    const { identity, events, rooms } = handshake;
    const filter = filterOf(contract, identity, events, rooms, this.#limits);
    return "code" in filter ? filter : handshake;
  }

  /**
   * A token beside role and id changes nothing, so that what runs with a key runs without one too; one in their place is refused,
   * for nobody would have checked it.
   */
  #open(contract: Contract, auth: { readonly [name: string]: unknown }): Handshake | ErrorBody {
    const read = readOpen(contract, auth);
    if ("code" in read) return read;
    if (auth.token !== undefined && !this.#hasWarned) {
      this.#hasWarned = true;
      this.#logger.warn(
        read.identity,
        "a satellite has a token, and the hub no key: it believes the handshake",
      );
    }
    return { ...read, session: openSession };
  }
}

async function presented(tokens: Tokens, contract: Contract, auth: unknown): Promise<Handshake | ErrorBody> {
  const read = readWithToken(auth);
  if ("code" in read) return read;
  const { token, claimed, ...wishes } = read;
  const known = await tokens.known(token, contract);
  if (typeof known === "string") return errorBody(known);
  const { identity, session } = known;
  return isSame(identity, claimed) ? { ...wishes, identity, session } : errorBody("TOKEN_OF_ANOTHER");
}

const isSame = (identity: Identity, { role = identity.role, id = identity.id }: Partial<Identity>): boolean =>
  role === identity.role && id === identity.id;
