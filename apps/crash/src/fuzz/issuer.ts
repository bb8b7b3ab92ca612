// Who issues tokens, and how one is made of anything at all: what a library for tokens makes is always in order.
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  sign,
} from "node:crypto";
import { type Identity, nameOf } from "@orrery/contracts";
import { parcels } from "@orrery/contracts/parcels";
import { jsonText } from "./json-text.ts";
import type { Introduction } from "./standing.ts";

/** How long a token is good for that nothing is the matter with. Seconds. */
const anHour = 3_600;

export type Claims = Readonly<Record<string, unknown>>;
/** Of what stands before it. */
export type Signature = (text: string) => Buffer;

export const unsigned: Signature = () => Buffer.alloc(0);
export const signedWith =
  (key: KeyObject): Signature =>
  (text) =>
    sign(null, Buffer.from(text), key);
export const hashedWith =
  (secret: string | Buffer): Signature =>
  (text) =>
    createHmac("sha256", secret).update(text).digest();

/** A token in its compact form (RFC 7515, section 3.1), of any header and claims. */
export function tokenText(header: unknown, claims: unknown, signatureOf: Signature): string {
  const text = [header, claims].map((part) => Buffer.from(jsonText(part)).toString("base64url")).join(".");
  return `${text}.${signatureOf(text).toString("base64url")}`;
}

/** Signs with the key that the hub checks with, whatever it is asked to. */
export class Issuer {
  readonly header = { alg: "EdDSA" } as const;
  readonly sign: Signature;
  /** What everybody may know, in the forms in which it is handed around. */
  readonly publicTexts: readonly (string | Buffer)[];
  readonly #nowMs: () => number;

  /** `jwk`: Ed25519, with its private part. `nowMs`: default the system's clock. */
  constructor(jwk: JsonWebKey, nowMs: () => number = Date.now) {
    const key = createPrivateKey({ key: jwk, format: "jwk" });
    const open = createPublicKey(key);
    const openJwk = open.export({ format: "jwk" });
    this.sign = signedWith(key);
    this.publicTexts = [
      openJwk.x ?? "",
      Buffer.from(openJwk.x ?? "", "base64url"),
      JSON.stringify(openJwk),
      open.export({ format: "pem", type: "spki" }),
    ];
    this.#nowMs = nowMs;
  }

  /** Whole seconds since 1970, as tokens have it. */
  get nowSeconds(): number {
    return Math.floor(this.#nowMs() / 1_000);
  }

  /** What a token says that nothing is the matter with. */
  claims(identity: Identity, lifetimeSeconds: number = anHour) {
    const iat = this.nowSeconds;
    return { sub: nameOf(identity), aud: parcels.name, iat, exp: iat + lifetimeSeconds };
  }

  /** A token that the hub takes, and what it is worth. */
  issue(identity: Identity, claims = this.claims(identity)): Introduction & { readonly token: string } {
    const token = tokenText(this.header, claims, this.sign);
    return { token, identity, issuedMs: claims.iat * 1_000, expiresMs: claims.exp * 1_000 };
  }
}
