import { type Identity, protocolVersion } from "@orrery/contracts";
import type { Issuer } from "./issuer.ts";
import { believed, type Introduction } from "./standing.ts";

/** How a connection speaks. */
export type Form = "plain" | "batched";

export interface Handshake {
  /** Socket.IO's. */
  readonly auth: Readonly<Record<string, unknown>>;
  readonly introduces: Introduction;
}

/** What the hub takes as a handshake of that satellite. Without an issuer the hub is in open mode. */
export function handshakeOf(identity: Identity, form: Form, issuer: Issuer | undefined): Handshake {
  const wishes = wishesOf(form);
  if (issuer === undefined) return { auth: { ...identity, ...wishes }, introduces: believed(identity) };
  const { token, ...introduces } = issuer.issue(identity);
  return { auth: { token, ...wishes }, introduces };
}

/** What a handshake says beside who it is. */
export const wishesOf = (form: Form) => (form === "batched" ? { protocol: protocolVersion } : {});
