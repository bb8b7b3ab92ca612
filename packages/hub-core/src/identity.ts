import {
  type Contract,
  type ErrorBody,
  errorBody,
  type Identity,
  nameOf,
  protocolVersion,
  satelliteId,
} from "@orrery/contracts";
import { z } from "zod";
import { listOf, mostListed } from "./list-of.ts";
import { issuesOf } from "./refused.ts";
import type { Session } from "./session.ts";

/** A satellite's name among those of all contracts: `parcels vendor:acme`. */
export const satelliteOf = (contract: string, identity: Identity): string =>
  `${contract} ${nameOf(identity)}`;

/** `plain`: an ordinary Socket.IO client, one packet an event. `batched`: the satellite package. */
export type Form = "plain" | "batched";

/** What a satellite's handshake wants. */
interface Wishes {
  readonly form: Form;
  /** A plain client's own narrowing; undefined: all that its role may hear. */
  readonly events: readonly string[] | undefined;
  readonly rooms: readonly string[] | undefined;
}

/** What the hub knows of a connection. */
export interface Handshake extends Wishes {
  readonly identity: Identity;
  /** Another one after each renewal. */
  session: Session;
}

/** A handshake that is of the right form, where the hub checks tokens. */
export interface TokenHandshake extends Wishes {
  readonly token: string;
  /** Who the satellite says it is besides; it need not. */
  readonly claimed: Partial<Identity>;
}

const wishes = {
  protocol: z.number().int().optional(),
  events: listOf(z.string(), mostListed).optional(),
  rooms: listOf(z.string(), mostListed).optional(),
};
const role = z.string().max(64);
const id = z.string().regex(satelliteId, `must match ${satelliteId.source}`);
const Open = z.object({ role, id, ...wishes });
const noToken = "expected a token: the hub has keys, and lets nobody in without one";
const WithToken = z.object({
  token: z.string({ error: ({ input }) => (input === undefined ? noToken : undefined) }),
  role: role.optional(),
  id: id.optional(),
  ...wishes,
});

/** Reads Socket.IO's `auth` in open mode, where a satellite names its own role. */
export function readOpen(
  contract: Contract,
  auth: unknown,
): (Wishes & { readonly identity: Identity }) | ErrorBody {
  const parsed = Open.safeParse(auth);
  if (!parsed.success) return errorBody("HANDSHAKE_INVALID", issuesOf(parsed.error));
  const { role, id } = parsed.data;
  if (!contract.roles.includes(role)) return errorBody("ROLE_UNKNOWN");
  const wishes = wishesOf(parsed.data);
  return "code" in wishes ? wishes : { ...wishes, identity: { role, id } };
}

/** Reads Socket.IO's `auth` where the hub checks tokens, without checking this one. */
export function readWithToken(auth: unknown): TokenHandshake | ErrorBody {
  const parsed = WithToken.safeParse(auth);
  if (!parsed.success) return errorBody("HANDSHAKE_INVALID", issuesOf(parsed.error));
  const { token, role, id } = parsed.data;
  const wishes = wishesOf(parsed.data);
  if ("code" in wishes) return wishes;
  const claimed = { ...(role !== undefined && { role }), ...(id !== undefined && { id }) };
  return { ...wishes, token, claimed };
}

function wishesOf({ protocol, events, rooms }: z.infer<z.ZodObject<typeof wishes>>): Wishes | ErrorBody {
  if (protocol !== undefined && protocol !== protocolVersion) return errorBody("PROTOCOL_UNSUPPORTED");
  return { form: protocol === undefined ? "plain" : "batched", events, rooms };
}
