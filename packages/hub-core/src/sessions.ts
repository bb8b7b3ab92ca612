import { type Contract, type Identity, nameOf, OrreryError, type RenewReply } from "@orrery/contracts";
import { z } from "zod";
import type { HubSocket } from "./audience.ts";
import { cutOff } from "./connection.ts";
import type { Limits } from "./limits.ts";
import type { Logger } from "./logger.ts";
import { refused } from "./refused.ts";
import type { Revocation, Revocations } from "./revocations.ts";
import { endOf, type Session, type SessionEnd } from "./session.ts";
import type { Tokens } from "./tokens.ts";

const Renew = z.strictObject({ token: z.string() });

/** The sessions of all connections: renews them, and lets go whose session is over. */
export class Sessions {
  readonly #tokens: Tokens | undefined;
  readonly #revocations: Revocations;
  readonly #limits: Limits;
  readonly #logger: Logger;
  readonly #dismiss: (socket: HubSocket, code: SessionEnd) => void;
  readonly #sockets = new Set<HubSocket>();
  readonly #renewing = new WeakSet<HubSocket>();
  readonly #timer: NodeJS.Timeout | undefined;

  /** Without `tokens` no session ends. `dismiss` says why, and disconnects. */
  constructor(
    tokens: Tokens | undefined,
    revocations: Revocations,
    limits: Limits,
    logger: Logger,
    dismiss: (socket: HubSocket, code: SessionEnd) => void,
  ) {
    this.#tokens = tokens;
    this.#revocations = revocations;
    this.#limits = limits;
    this.#logger = logger;
    this.#dismiss = dismiss;
    if (tokens !== undefined) {
      this.#timer = setInterval(() => this.#letGo(), limits.sessionCheckMs).unref();
    }
  }

  /** The connection is there. Whether it may stay: its token may have been revoked since it was checked. */
  begin(socket: HubSocket): boolean {
    if (this.#tokens === undefined) return true;
    this.#sockets.add(socket);
    socket.data.session = this.#current(socket.data.identity, socket.data.session);
    return !this.#hasToGo(socket);
  }

  /** The connection is gone. */
  leave(socket: HubSocket): void {
    this.#sockets.delete(socket);
  }

  /** For `hub:renew`. Refused, the session stays as it was. One renewal of a connection at a time. */
  async renew(contract: Contract, socket: HubSocket, message: unknown): Promise<RenewReply> {
    const request = Renew.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    if (this.#tokens === undefined || this.#renewing.has(socket)) return refused("MESSAGE_INVALID");
    this.#renewing.add(socket);
    const known = await this.#tokens.known(request.data.token, contract);
    this.#renewing.delete(socket);
    if (typeof known === "string") return refused(known);
    if (nameOf(known.identity) !== nameOf(socket.data.identity)) return refused("TOKEN_OF_ANOTHER");
    socket.data.session = this.#current(known.identity, known.session);
    return { ok: true, expires: new Date(known.session.expiresMs).toISOString() };
  }

  /** For `hub.revoke`. */
  async revoke(revocation: Revocation): Promise<void> {
    if (this.#tokens === undefined) {
      throw new OrreryError("CONFIG_INVALID", { detail: "Without keys there are no tokens to revoke." });
    }
    const kept = this.#revocations.add(revocation);
    // At once, whatever the log says.
    for (const { data } of this.#sockets) data.session = this.#current(data.identity, data.session);
    this.#letGo();
    await kept;
    this.#logger.info({ ...revocation }, "tokens were revoked");
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #letGo(): void {
    for (const socket of [...this.#sockets]) this.#hasToGo(socket);
  }

  /** With what is revoked by now. */
  #current(identity: Identity, session: Session): Session {
    return { ...session, revokedThroughMs: this.#revocations.through(nameOf(identity)) };
  }

  /** If so, it goes. */
  #hasToGo(socket: HubSocket): boolean {
    const code = endOf(socket.data.session, Date.now());
    if (code === undefined) return false;
    const { identity } = socket.data;
    this.#logger.debug({ ...identity, code }, "a session is over");
    this.#dismiss(socket, code);
    // What waits for one that does not read is not for it any more.
    setTimeout(() => cutOff(socket.conn), this.#limits.closeMs).unref();
    return true;
  }
}
