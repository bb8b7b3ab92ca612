// The grammar of tokens: those that the hub takes, and those that it must refuse.
import { createPrivateKey } from "node:crypto";
import { type Identity, nameOf } from "@orrery/contracts";
import { attackers, bystander } from "./cast.ts";
import type { Chance } from "./chance.ts";
import { hostileNames } from "./hostile.ts";
import { hashedWith, type Issuer, signedWith, tokenText, unsigned } from "./issuer.ts";
import { RawJson } from "./json-text.ts";
import type { Introduction } from "./standing.ts";

/** What is shown for a token, whatever it is. */
export interface Shown extends Introduction {
  readonly name: string;
  readonly token: unknown;
  /** Who is named beside the token; missing: nobody. */
  readonly beside?: Identity;
}

const rightKinds = {
  "for an hour": 4,
  "for a second or two": 6,
  "for ever": 1,
  "for other contracts too": 1,
  "with its satellite beside it": 2,
  "with deep claims": 1,
  "with an odd header": 1,
  /** These are right until the run has revoked them. */
  "issued long ago": 2,
} as const;

const wrongKinds = {
  "bytes changed": 6,
  "no signature": 4,
  "hashed with the public key": 4,
  "signed by a stranger": 4,
  "a key of its own in the header": 3,
  "an unknown critical header": 1,
  "for another contract": 3,
  expired: 3,
  "not yet valid": 3,
  "claims missing": 3,
  "odd times": 3,
  "an odd subject": 3,
  "claims of odd names": 2,
  "too long": 1,
  "no token": 4,
  "of another satellite": 3,
  "the bystander's, by a stranger": 3,
} as const;

/** The hub's bound on a token, and what goes past it. Bytes. */
const tooLong = 8_193;
/** In one token that is not too long. */
const deepLevels = 2_000;
/** Beyond every difference between clocks. Seconds. */
const aMinute = 60;
/** Beyond what the run has revoked of all satellites. Seconds. */
const longAgo = 7_200;
const aDay = 86_400;

/** The key of an example that everybody has read: RFC 8037, appendix A.1. */
const strangersJwk = {
  kty: "OKP",
  crv: "Ed25519",
  d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
  x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPd8HEs",
};
const signedByStranger = signedWith(createPrivateKey({ key: strangersJwk, format: "jwk" }));

/** A token that the hub may take from the satellite: with its key, for its contract, and in its time. */
export function rightToken(chance: Chance, identity: Identity, issuer: Issuer): Shown {
  const name = chance.weighted(rightKinds);
  const seconds = 1 + chance.below(2);
  const claims = issuer.claims(identity);
  const { header, sign } = issuer;
  const issued = { ...issuer.issue(identity, claims), name };
  switch (name) {
    case "for an hour":
      return issued;
    case "for a second or two":
      return { ...issuer.issue(identity, issuer.claims(identity, seconds)), name };
    case "for ever":
      return { ...issuer.issue(identity, { ...claims, exp: Number.MAX_SAFE_INTEGER }), name };
    case "for other contracts too":
      return { ...issued, token: tokenText(header, { ...claims, aud: ["orders", claims.aud] }, sign) };
    case "with its satellite beside it":
      return { ...issued, beside: identity };
    case "with deep claims": {
      const deep = new RawJson("[".repeat(deepLevels) + "]".repeat(deepLevels));
      return { ...issued, token: tokenText(header, { ...claims, deep }, sign) };
    }
    case "with an odd header": {
      const more = {
        kid: chance.pick(["", "../../key.json", "' OR 1=1 --"]),
        typ: chance.pick(hostileNames),
      };
      return { ...issued, token: tokenText({ ...header, ...more }, claims, sign) };
    }
    case "issued long ago":
      return { ...issuer.issue(identity, { ...claims, iat: claims.iat - longAgo }), name };
  }
}

/** A token that the hub must refuse from the satellite, with what it says beside it. */
export function wrongToken(chance: Chance, identity: Identity, issuer: Issuer): Shown {
  const name = chance.weighted(wrongKinds);
  const right = issuer.issue(identity);
  const shown = wrongOf(name, chance, identity, issuer, right.token);
  return { ...right, ...shown, name, fault: isSameToken(shown.token, right.token) ? undefined : name };
}

function wrongOf(
  name: keyof typeof wrongKinds,
  chance: Chance,
  identity: Identity,
  issuer: Issuer,
  right: string,
): Pick<Shown, "token" | "beside"> {
  const { header, sign, nowSeconds } = issuer;
  const claims = issuer.claims(identity);
  const withClaims = (changes: object) => ({ token: tokenText(header, { ...claims, ...changes }, sign) });
  switch (name) {
    case "bytes changed":
      return { token: changed(right, chance) };
    case "no signature": {
      const alg = chance.pick(["none", "None", "NONE", "", "EdDSA", "HS256", null]);
      return { token: tokenText({ alg }, claims, unsigned) };
    }
    case "hashed with the public key": {
      const secret = chance.pick(issuer.publicTexts);
      return { token: tokenText({ alg: chance.pick(["HS256", "EdDSA"]) }, claims, hashedWith(secret)) };
    }
    case "signed by a stranger": {
      const kid = chance.pick(["", "../../key.json", "/dev/null", 7, "__proto__"]);
      return { token: tokenText({ ...header, ...(chance.oneIn(2) && { kid }) }, claims, signedByStranger) };
    }
    case "a key of its own in the header": {
      const { d: _, ...jwk } = strangersJwk;
      const url = "http://127.0.0.1:9/keys.json";
      const own = chance.pick([{ jwk }, { jku: url }, { x5u: url }, { x5c: [jwk.x] }] as const);
      return { token: tokenText({ ...header, ...own }, claims, signedByStranger) };
    }
    case "an unknown critical header": {
      const own = chance.pick([
        { crit: ["x"], x: 1 },
        { crit: [] },
        { crit: "exp" },
        { crit: ["exp"] },
      ] as const);
      return { token: tokenText({ ...header, ...own }, claims, sign) };
    }
    case "for another contract":
      return withClaims({
        aud: chance.pick(["orders", "Parcels", "/parcels", "", ["orders"], [], {}, null, 7]),
      });
    case "expired": {
      const exp = nowSeconds - chance.pick([aMinute, aDay, nowSeconds, 2 * nowSeconds]);
      return withClaims({ iat: Math.min(exp, nowSeconds) - aMinute, exp });
    }
    case "not yet valid": {
      const later = nowSeconds + chance.pick([aMinute, aDay]);
      return withClaims(chance.pick([{ nbf: later }, { iat: later }, { iat: later, exp: later + aMinute }]));
    }
    case "claims missing":
      return withClaims({ [chance.pick(["sub", "aud", "iat", "exp"])]: undefined });
    case "odd times":
      return withClaims({
        [chance.pick(["iat", "exp", "nbf"])]: chance.pick([
          "",
          "soon",
          String(claims.exp),
          null,
          true,
          [claims.exp],
          {},
        ]),
      });
    case "an odd subject":
      return withClaims({ sub: oddSubject(chance, identity) });
    case "claims of odd names":
      return { token: tokenText(header, oddlyNamed(claims, chance), sign) };
    case "too long":
      return withClaims({ more: "x".repeat(chance.pick([tooLong, 100_000])) });
    case "no token":
      return { token: noToken(right, chance), ...(chance.oneIn(2) && { beside: identity }) };
    case "of another satellite": {
      const others = attackers.filter((one) => nameOf(one) !== nameOf(identity));
      return { token: issuer.issue(chance.pick(others)).token, beside: identity };
    }
    case "the bystander's, by a stranger": {
      const theirs = chance.pick(Object.values(bystander));
      const said = issuer.claims(theirs);
      const token = chance.oneIn(2)
        ? tokenText(header, said, signedByStranger)
        : tokenText({ alg: "none" }, said, unsigned);
      return { token, ...(chance.oneIn(2) && { beside: theirs }) };
    }
  }
}

/** Whether the hub may take the one for the other: base64 has several texts for the same signature, and what is signed is text. */
export function isSameToken(token: unknown, right: string): boolean {
  if (typeof token !== "string") return false;
  const [signed, signature] = splitAtSignature(token);
  const [rightSigned, rightSignature] = splitAtSignature(right);
  return signed === rightSigned && signature.equals(rightSignature);
}

function splitAtSignature(token: string): [signed: string, signature: Buffer] {
  const dot = token.lastIndexOf(".");
  return [token.slice(0, dot), Buffer.from(token.slice(dot + 1), "base64url")];
}

/** Other, missing, more or fewer characters at one place; or another byte at a place of what they say. */
function changed(token: string, chance: Chance): string {
  const place = chance.below(token.length);
  const [before, one, after] = [token.slice(0, place), token.slice(place, place + 1), token.slice(place + 1)];
  const kind = chance.pick(["other", "missing", "more", "cut off", "byte"] as const);
  const character = chance.pick(["A", "_", ".", "=", " ", "\u0000", "é"]);
  const parts = token.split(".");
  const part = chance.below(parts.length);
  const bytes = Buffer.from(parts[part] ?? "", "base64url");
  const at = chance.below(bytes.length);
  switch (kind) {
    case "other":
      return before + character + after;
    case "missing":
      return before + after;
    case "more":
      return before + one + character + after;
    case "cut off":
      return before;
    case "byte":
      bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8));
      return parts.map((text, index) => (index === part ? bytes.toString("base64url") : text)).join(".");
  }
}

function oddSubject(chance: Chance, identity: Identity): unknown {
  const name = nameOf(identity);
  return chance.pick<unknown>([
    "",
    identity.id,
    `${identity.role}:`,
    `:${identity.id}`,
    `nobody:${identity.id}`,
    `hub:${identity.id}`,
    `__proto__:${identity.id}`,
    `${identity.role}:__proto__`,
    `${identity.role}:${"x".repeat(65)}`,
    `${name}\n`,
    ` ${name}`,
    `${name},${nameOf(bystander.vendor)}`,
    name.toUpperCase(),
    7,
    null,
    {},
    { toString: name },
    [name],
  ]);
}

/** The claims where nobody should look for them. */
function oddlyNamed(claims: object, chance: Chance): unknown {
  const inner = chance.pick(["__proto__", "constructor", "prototype", "claims"]);
  return chance.pick([Object.fromEntries([[inner, claims]]), [claims], JSON.stringify(claims), null, 7]);
}

function noToken(right: string, chance: Chance): unknown {
  if (chance.oneIn(4)) return undefined;
  return chance.pick<unknown>([
    null,
    "",
    ".",
    "..",
    "a.b.c",
    `Bearer ${right}`,
    `${right}.${right}`,
    right.split(".").slice(0, 2).join("."),
    7,
    true,
    [right],
    { token: right },
    Object.fromEntries([["__proto__", right]]),
    new RawJson("1e999"),
  ]);
}
