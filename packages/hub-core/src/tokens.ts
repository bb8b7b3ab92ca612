import { type Contract, type ErrorCode, type Identity, nameOf, OrreryError } from "@orrery/contracts";
import { type KeySource, type TokenCheck, tokenCheck } from "@orrery/tokens";
import type { Limits } from "./limits.ts";
import type { Logger } from "./logger.ts";
import type { Revocations } from "./revocations.ts";
import { type Session, sessionOf } from "./session.ts";

/** Who presents a token that is good, and until when. */
export interface Known {
  readonly identity: Identity;
  readonly session: Session;
}

/** Checks what satellites present: the token, that the contract has its role, and that it is not revoked. */
export class Tokens {
  readonly #check: TokenCheck;
  readonly #revocations: Revocations;
  readonly #limits: Limits;
  readonly #logger: Logger;
  /** So that the log tells of it once, and not with each satellite. */
  #isUnavailable = false;

  constructor(keys: KeySource, revocations: Revocations, limits: Limits, logger: Logger) {
    this.#check = tokenCheck(keys);
    this.#revocations = revocations;
    this.#limits = limits;
    this.#logger = logger;
  }

  /** Answers within `connectTimeoutMs`, with a code where the token is not good; never rejects. */
  async known(token: string, contract: Contract): Promise<Known | ErrorCode> {
    const { tokenBytes, connectTimeoutMs } = this.#limits;
    if (token.length > tokenBytes) return "TOKEN_INVALID";
    try {
      const known = await within(connectTimeoutMs, this.#knownBy(token, contract));
      this.#isUnavailable = false;
      return known;
    } catch (error) {
      return this.#refusalOf(error, contract);
    }
  }

  async #knownBy(token: string, contract: Contract): Promise<Known | ErrorCode> {
    await this.#revocations.loaded();
    const presented = await this.#check(token, contract.name);
    const { identity, issuedMs } = presented;
    if (!contract.roles.includes(identity.role)) return "TOKEN_INVALID";
    const revokedThroughMs = this.#revocations.through(nameOf(identity));
    if (issuedMs <= revokedThroughMs) return "TOKEN_REVOKED";
    return { identity, session: sessionOf(presented, this.#limits.tokenGraceMs, revokedThroughMs) };
  }

  #refusalOf(error: unknown, { name }: Contract): ErrorCode {
    const code = error instanceof OrreryError && isOfToken(error.code) ? error.code : "KEYS_UNAVAILABLE";
    const context = { contract: name, code, why: whyOf(error) };
    if (code !== "KEYS_UNAVAILABLE") {
      this.#isUnavailable = false;
      this.#logger.debug(context, "a token was refused");
    } else if (!this.#isUnavailable) {
      this.#isUnavailable = true;
      this.#logger.error(context, "tokens cannot be checked");
    }
    return code;
  }
}

const isOfToken = (code: ErrorCode): boolean => code === "TOKEN_INVALID" || code === "TOKEN_EXPIRED";

/** Names and codes alone: the texts of such errors, and what hangs on them, quote the token. */
function whyOf(error: unknown): string {
  const why: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) {
    const { name, code } = at as Error & { readonly code?: unknown };
    why.push(typeof code === "string" ? code : name);
  }
  return why.join(" < ");
}

async function within<Value>(ms: number, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new OrreryError("KEYS_UNAVAILABLE")), ms).unref();
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}
