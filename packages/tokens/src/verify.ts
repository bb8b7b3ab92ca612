import { type Identity, OrreryError } from "@orrery/contracts";
import {
  createRemoteJWKSet,
  errors,
  importJWK,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from "jose";
import type { Key } from "./key.ts";
import { identityOf } from "./subject.ts";

/** What checks tokens: a key, or the address of a JSON Web Key Set (RFC 7517, section 5), read when a key of it is needed. */
export type KeySource = Key | { readonly jwksUrl: URL };

/** What a token that was checked says. */
export interface Presented {
  readonly identity: Identity;
  /** Milliseconds since 1970; whole seconds. */
  readonly issuedMs: number;
  readonly expiresMs: number;
}

/**
 * Checks a token for a contract. Rejects with `TOKEN_INVALID`, whatever is wrong with it; with `TOKEN_EXPIRED` only where all
 * else is right; and with `KEYS_UNAVAILABLE` where the keys cannot be read.
 */
export type TokenCheck = (token: string, contract: string) => Promise<Presented>;

/** How far clocks may be apart. Milliseconds. */
const skewMs = 5_000;
/** Of a key set only signatures count that whoever reads it cannot make. */
const publicAlgorithms = ["EdDSA", "Ed25519", "ES256", "ES384", "RS256", "PS256"];

/** `nowMs`: default the system's clock. */
export function tokenCheck(source: KeySource, nowMs: () => number = Date.now): TokenCheck {
  const { keyFor, algorithms } = verifierOf(source);
  return async (token, contract) => {
    try {
      const now = nowMs();
      const { payload } = await jwtVerify(token, keyFor, {
        algorithms,
        audience: contract,
        requiredClaims: ["sub", "iat", "exp"],
        clockTolerance: skewMs / 1_000,
        currentDate: new Date(now),
      });
      return presentedBy(payload, now);
    } catch (error) {
      throw refusalOf(error);
    }
  };
}

function verifierOf(source: KeySource): { readonly keyFor: JWTVerifyGetKey; readonly algorithms: string[] } {
  if ("jwksUrl" in source) {
    return { keyFor: createRemoteJWKSet(source.jwksUrl), algorithms: publicAlgorithms };
  }
  const { d: _private, ...jwk } = { d: undefined, ...source.jwk };
  const key = importJWK(jwk, source.algorithm);
  return { keyFor: async () => await key, algorithms: [source.algorithm] };
}

function presentedBy({ sub, iat = 0, exp = 0 }: JWTPayload, nowMs: number): Presented {
  const identity = typeof sub === "string" ? identityOf(sub) : undefined; // it may be anything, whatever the type says
  if (identity === undefined || iat * 1_000 > nowMs + skewMs) throw new OrreryError("TOKEN_INVALID");
  return { identity, issuedMs: iat * 1_000, expiresMs: exp * 1_000 };
}

/** To whoever presents it all faults look the same: which one it is would help to guess. */
function refusalOf(error: unknown): OrreryError {
  if (error instanceof errors.JWTExpired) return new OrreryError("TOKEN_EXPIRED");
  const isOfToken = error instanceof errors.JOSEError && !isOfKeys(error);
  const code = isOfToken || error instanceof OrreryError ? "TOKEN_INVALID" : "KEYS_UNAVAILABLE";
  return new OrreryError(code, { cause: error });
}

/** Whether it is no fault of the token: the set did not come in time, not with a status of 200 or as JSON, or is no key set. */
const isOfKeys = ({ code }: errors.JOSEError): boolean =>
  [errors.JWKSTimeout.code, errors.JOSEError.code, errors.JWKSInvalid.code].includes(code);
