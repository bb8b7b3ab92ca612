// What a satellite knows of its token. It reads it and checks nothing: that is the hub's.
import type { Contract, RoleOf } from "@orrery/contracts";

/**
 * A signed token, or a function that gives one. It is called at each connection, and again in time before the token runs out; a
 * text runs out with the connection.
 */
export type Token = string | (() => string | Promise<string>);

/** How a satellite shows who it is: by a token that says so, or, to a hub in open mode, by saying so itself. */
export type Credentials<C extends Contract> =
  | { readonly token: Token; readonly role?: never; readonly id?: never }
  | {
      readonly role: RoleOf<C>;
      /** `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`. With the role it gives the satellite its rooms, `vendor:acme` and `satellite:acme`. */
      readonly id: string;
      readonly token?: never;
    };

/** Whatever a token says, the next one is asked for no sooner and no later; a timer of 25 days would fire at once. Milliseconds. */
const leastMs = 1_000;
const mostMs = 86_400_000;

/** When a token was issued and runs out, by the clock of whoever issued it. Milliseconds since 1970. */
interface Lifetime {
  readonly issuedMs: number | undefined;
  readonly expiresMs: number;
}

/** Undefined where the token does not say when it runs out, or is none that can be read (RFC 7519). */
export function lifetimeOf(token: string): Lifetime | undefined {
  try {
    const { iat, exp } = claimsOf(token);
    if (!isTime(exp)) return undefined;
    return { issuedMs: isTime(iat) ? iat * 1_000 : undefined, expiresMs: exp * 1_000 };
  } catch {
    return undefined;
  }
}

/**
 * How long after the hub took a token a new one is to be asked for: a fifth of its lifetime before its end, 5 s at least where
 * it lives for 10 s or longer. Undefined: never, since it does not say when it ends.
 */
export function renewInMs(token: string, nowMs: number): number | undefined {
  const lifetime = lifetimeOf(token);
  if (lifetime === undefined) return undefined;
  const { expiresMs, issuedMs = nowMs } = lifetime;
  const wholeMs = expiresMs - issuedMs;
  const leftMs = expiresMs - nowMs;
  // The hub took it, so where it seems to be over, or not to have begun, the clock here is wrong.
  const livesMs = leftMs > 0 && leftMs <= wholeMs ? leftMs : wholeMs;
  const beforeMs = Math.max(wholeMs / 5, Math.min(5_000, wholeMs / 2));
  return Math.min(Math.max(livesMs - beforeMs, leastMs), mostMs);
}

/** Without Node's Buffer, which browsers do not have. */
function claimsOf(token: string): { readonly iat?: unknown; readonly exp?: unknown } {
  const [, body = ""] = token.split(".");
  const bytes = atob(body.replaceAll("-", "+").replaceAll("_", "/"));
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))));
}

const isTime = (claim: unknown): claim is number => typeof claim === "number" && Number.isFinite(claim);
