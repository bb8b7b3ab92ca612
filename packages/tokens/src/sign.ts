import { OrreryError } from "@orrery/contracts";
import { importJWK, SignJWT } from "jose";
import type { Key } from "./key.ts";

/** What a token says. */
export interface TokenClaims {
  /** Who presents it: `vendor:acme`. The claim `sub`. */
  readonly satellite: string;
  /** The contract's name. The claim `aud`. */
  readonly contract: string;
  /** How long it is good for, from now on. Milliseconds, whole seconds of which count. The claims `iat` and `exp`. */
  readonly lifetimeMs: number;
}

/** A signed token (RFC 7519). A key that only checks is `CONFIG_INVALID`. `nowMs`: default now. */
export async function signToken(
  key: Key,
  { satellite, contract, lifetimeMs }: TokenClaims,
  nowMs: number = Date.now(),
): Promise<string> {
  if (!key.canSign)
    throw new OrreryError("CONFIG_INVALID", { detail: "This key checks tokens; it signs none." });
  const issuedSeconds = Math.floor(nowMs / 1_000);
  return new SignJWT()
    .setProtectedHeader({ alg: key.algorithm, ...(key.jwk.kid !== undefined && { kid: key.jwk.kid }) })
    .setSubject(satellite)
    .setAudience(contract)
    .setIssuedAt(issuedSeconds)
    .setExpirationTime(issuedSeconds + Math.floor(lifetimeMs / 1_000))
    .sign(await importJWK({ ...key.jwk }, key.algorithm));
}
