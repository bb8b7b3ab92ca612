import type { Presented } from "@orrery/tokens";

/** How long a connection may go on: until its token runs out, and a grace, unless the token is revoked. Milliseconds since 1970. */
export interface Session {
  /** When its token was issued. */
  readonly issuedMs: number;
  /** When its token runs out. */
  readonly expiresMs: number;
  /** How long after that it goes on, so that a satellite which is late with its renewal loses nothing. Milliseconds. */
  readonly graceMs: number;
  /** Tokens of its satellite that were issued up to then are revoked. */
  readonly revokedThroughMs: number;
}

/** Why nothing is done for a connection any more. */
export type SessionEnd = "TOKEN_EXPIRED" | "TOKEN_REVOKED";

/** In open mode: without an end. */
export const openSession: Session = {
  issuedMs: Number.POSITIVE_INFINITY,
  expiresMs: Number.POSITIVE_INFINITY,
  graceMs: 0,
  revokedThroughMs: Number.NEGATIVE_INFINITY,
};

/** The last time that RFC 3339 can say. */
const lastMs = Date.UTC(9999, 11, 31, 23, 59, 59);

export const sessionOf = (
  { issuedMs, expiresMs }: Presented,
  graceMs: number,
  revokedThroughMs: number,
): Session => ({ issuedMs, expiresMs: Math.min(expiresMs, lastMs), graceMs, revokedThroughMs });

/** When its token runs out: RFC 3339 in UTC. Undefined in open mode. */
export const expiryOf = ({ expiresMs }: Session): string | undefined =>
  Number.isFinite(expiresMs) ? new Date(expiresMs).toISOString() : undefined;

/** Undefined: it goes on. Cheap, for it is asked before everything that the hub does for a connection. */
export function endOf(
  { issuedMs, expiresMs, graceMs, revokedThroughMs }: Session,
  nowMs: number,
): SessionEnd | undefined {
  if (issuedMs <= revokedThroughMs) return "TOKEN_REVOKED";
  return nowMs < expiresMs + graceMs ? undefined : "TOKEN_EXPIRED";
}

/** Whether the connection's session is over, though the connection may still be there. */
export const isOver = (
  { data: { session } }: { readonly data: { readonly session: Session } },
  nowMs: number = Date.now(),
): boolean => endOf(session, nowMs) !== undefined;
