import {
  type Contract,
  type ErrorBody,
  errorBody,
  type Identity,
  protocolVersion,
  satelliteId,
} from "@orrery/contracts";
import { z } from "zod";
import { listOf, mostListed } from "./list-of.ts";
import { issuesOf } from "./refused.ts";

/** `plain`: an ordinary Socket.IO client, one packet an event. `batched`: the satellite package. */
export type Form = "plain" | "batched";

/** What a satellite's handshake says. */
export interface Handshake {
  readonly identity: Identity;
  readonly form: Form;
  /** A plain client's own narrowing; undefined: all that its role may hear. */
  readonly events: readonly string[] | undefined;
  readonly rooms: readonly string[] | undefined;
}

const Auth = z.object({
  role: z.string().max(64),
  id: z.string().regex(satelliteId, `must match ${satelliteId.source}`),
  protocol: z.number().int().optional(),
  events: listOf(z.string(), mostListed).optional(),
  rooms: listOf(z.string(), mostListed).optional(),
});

/** Reads Socket.IO's `auth` in open mode, where a satellite names its own role. */
export function readHandshake(contract: Contract, auth: unknown): Handshake | ErrorBody {
  const parsed = Auth.safeParse(auth);
  if (!parsed.success) return errorBody("HANDSHAKE_INVALID", issuesOf(parsed.error));
  const { role, id, protocol, events, rooms } = parsed.data;
  if (!contract.roles.includes(role)) return errorBody("ROLE_UNKNOWN");
  if (protocol !== undefined && protocol !== protocolVersion) return errorBody("PROTOCOL_UNSUPPORTED");
  return { identity: { role, id }, form: protocol === undefined ? "plain" : "batched", events, rooms };
}

/** Whether an address of this machine reaches this machine only. */
export const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && (address === "::1" || address === "localhost" || /^(::ffff:)?127\./.test(address));

/** Whether a page's `Origin` is this machine; a program that is no browser sends none. */
export function isLoopbackOrigin(origin: string | undefined): boolean {
  if (origin === undefined) return true;
  try {
    return isLoopback(new URL(origin).hostname.replace(/^\[|\]$/g, ""));
  } catch {
    return false;
  }
}
