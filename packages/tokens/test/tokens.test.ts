import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { base64url, exportJWK, generateKeyPair, importJWK, SignJWT, UnsecuredJWT } from "jose";
import { developmentKey, type Key, keyFrom, readKey, signToken, tokenCheck } from "../src/index.ts";

const nowMs = 1_800_000_000_000;
const secret = keyFrom({ kty: "oct", k: base64url.encode(Buffer.alloc(32, 7)) });
const vendor = { satellite: "vendor:acme", contract: "parcels", lifetimeMs: 60_000 };

async function pair(): Promise<Key> {
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  return keyFrom(await exportJWK(privateKey));
}

const codeOf = (checked: Promise<unknown>) =>
  checked.then(
    () => "passed",
    ({ code }) => code,
  );

describe("a token", () => {
  it.each([
    ["EdDSA", pair],
    ["HS256", async () => secret],
  ] as const)("signed with %s says who presents it and until when", async (algorithm, make) => {
    const key = await make();
    expect(key).toMatchObject({ algorithm, canSign: true });
    const token = await signToken(key, vendor, nowMs + 999);
    expect(await tokenCheck(key, () => nowMs)(token, "parcels")).toEqual({
      identity: { role: "vendor", id: "acme" },
      issuedMs: nowMs,
      expiresMs: nowMs + 60_000,
    });
  });

  it("is checked with the public part of a pair, which signs nothing", async () => {
    const key = await pair();
    const { d: _, ...half } = key.jwk as Record<string, string>;
    const publicKey = keyFrom(half);
    const token = await signToken(key, vendor, nowMs);
    expect(await codeOf(tokenCheck(publicKey, () => nowMs)(token, "parcels"))).toBe("passed");
    expect(await codeOf(signToken(publicKey, vendor))).toBe("CONFIG_INVALID");
  });

  it("that has run out is told so; one that is wrong in any other way is not told why", async () => {
    const key = await pair();
    const check = tokenCheck(key, () => nowMs);
    const { d: _, ...publicJwk } = key.jwk as Record<string, string>;
    const publicText = new TextEncoder().encode(JSON.stringify(publicJwk));
    const claims = (sub: unknown, more: object = {}) =>
      new SignJWT({
        sub: sub as string,
        aud: "parcels",
        iat: nowMs / 1_000,
        exp: nowMs / 1_000 + 60,
        ...more,
      });
    const sign = (jwt: SignJWT, alg = "HS256", bytes: Uint8Array = publicText) =>
      jwt.setProtectedHeader({ alg }).sign(bytes);
    const { privateKey } = await generateKeyPair("EdDSA");
    const own = async (jwt: SignJWT) => {
      return jwt.setProtectedHeader({ alg: "EdDSA" }).sign(await importJWK({ ...key.jwk }, "EdDSA"));
    };
    const good = await signToken(key, vendor, nowMs);
    const [head, body, signature] = good.split(".");
    const wrong: Record<string, string> = {
      nothing: "",
      "no token": "a.b.c",
      "alg none": new UnsecuredJWT({
        sub: "vendor:acme",
        aud: "parcels",
        iat: nowMs / 1_000,
        exp: nowMs,
      }).encode(),
      "alg none with a signature": `${base64url.encode('{"alg":"none"}')}.${body}.${signature}`,
      "another key": await claims("vendor:acme").setProtectedHeader({ alg: "EdDSA" }).sign(privateKey),
      "the public key as a secret": await sign(claims("vendor:acme")),
      "another body": `${head}.${base64url.encode('{"sub":"vendor:evil"}')}.${signature}`,
      "another contract": await own(claims("vendor:acme", { aud: "other" })),
      "no contract": await own(claims("vendor:acme", { aud: undefined })),
      "no expiry": await own(claims("vendor:acme", { exp: undefined })),
      "no time of issue": await own(claims("vendor:acme", { iat: undefined })),
      "from the future": await own(claims("vendor:acme", { iat: nowMs / 1_000 + 60 })),
      "no subject": await own(claims(undefined)),
      "half a subject": await own(claims("vendor")),
      "an id that is none": await own(claims("vendor:../acme")),
      "a subject that is no text": await own(claims(7)),
      "a list with a subject": await own(claims(["vendor:acme"])),
      "a subject that cannot be made text": await own(claims({ toString: "vendor:acme" })),
    };
    const codes: Record<string, unknown> = {};
    for (const [name, token] of Object.entries(wrong)) codes[name] = await codeOf(check(token, "parcels"));
    expect(codes).toEqual(Object.fromEntries(Object.keys(wrong).map((name) => [name, "TOKEN_INVALID"])));
    expect(await codeOf(tokenCheck(key, () => nowMs + 66_000)(good, "parcels"))).toBe("TOKEN_EXPIRED");
    expect(await codeOf(tokenCheck(key, () => nowMs + 64_000)(good, "parcels"))).toBe("passed"); // clocks differ
    expect(await codeOf(check(good, "other"))).toBe("TOKEN_INVALID");
  });

  it("is checked with a key of a set at an address, and only with signatures that readers of it cannot make", async () => {
    const key = await pair();
    const { d: _, ...half } = key.jwk as Record<string, string>;
    const keys = [
      { ...half, kid: "one", alg: "EdDSA", use: "sig" },
      { ...secret.jwk, kid: "two" },
    ];
    const server = createServer((_request, response) => response.end(JSON.stringify({ keys })));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const jwksUrl = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`);
    try {
      const check = tokenCheck({ jwksUrl }, () => nowMs);
      const signed = (by: Key, kid: string) => signToken({ ...by, jwk: { ...by.jwk, kid } }, vendor, nowMs);
      expect(await codeOf(check(await signed(key, "one"), "parcels"))).toBe("passed");
      expect(await codeOf(check(await signed(key, "unknown"), "parcels"))).toBe("TOKEN_INVALID");
      expect(await codeOf(check(await signed(secret, "two"), "parcels"))).toBe("TOKEN_INVALID");
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    const token = await signToken({ ...key, jwk: { ...key.jwk, kid: "one" } }, vendor, nowMs);
    expect(await codeOf(tokenCheck({ jwksUrl }, () => nowMs)(token, "parcels"))).toBe("KEYS_UNAVAILABLE");
  });

  it.each([
    ["with a status", 503, '{"keys":[]}'],
    ["with what is no JSON", 200, "<p>Soon back.</p>"],
    ["with what is no set", 200, '{"error":"soon back"}'],
  ])("is not to blame where the address of the keys answers %s", async (_what, status, body) => {
    const server = createServer((_request, response) => response.writeHead(status).end(body));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const jwksUrl = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`);
    try {
      const token = await signToken(await pair(), vendor, nowMs);
      expect(await codeOf(tokenCheck({ jwksUrl }, () => nowMs)(token, "parcels"))).toBe("KEYS_UNAVAILABLE");
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe("a key", () => {
  it.each([
    ["of another type", { kty: "RSA", n: "x", e: "AQAB" }],
    ["that is too short", { kty: "oct", k: "c2hvcnQ" }],
    ["of another curve", { kty: "OKP", crv: "X25519", x: "a".repeat(43) }],
    ["that is none", null],
  ])("%s is refused, without its content", (_name, jwk) => {
    expect(() => keyFrom(jwk)).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
    expect(() => keyFrom(jwk)).not.toThrow(/c2hvcnQ/);
  });

  it("that cannot be read is refused with the reason, without what is in the file", async () => {
    const directory = await mkdtemp(join(tmpdir(), "orrery-"));
    try {
      const file = join(directory, "key.json");
      await writeFile(file, '"hunter2" is the secret');
      const why = (path: string) => readKey(path).then(String, String);
      expect(await why(file)).toMatch(/The key file .*key\.json cannot be read: it is not JSON\.$/);
      expect(await why(directory)).toMatch(/cannot be read: EISDIR: illegal operation on a directory/);
      expect(await why(join(directory, "none.json"))).toMatch(/There is no key file .*none\.json\.$/);
      const error = await readKey(file).catch((error: unknown) => error);
      expect(inspect(error)).not.toContain("hunter2");
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("for development is made once, also by processes that start together, and is its owner's alone", async () => {
    const directory = await mkdtemp(join(tmpdir(), "orrery-"));
    try {
      const file = join(directory, "deep", "key.json");
      const keys = await Promise.all(Array.from({ length: 8 }, () => developmentKey(file)));
      expect(new Set(keys.map(({ jwk }) => JSON.stringify(jwk))).size).toBe(1);
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      expect(await developmentKey(file)).toEqual(keys[0]);
      await writeFile(file, "{");
      expect(await codeOf(developmentKey(file))).toBe("CONFIG_INVALID");
      expect(await readFile(file, "utf8")).toBe("{"); // never overwritten
      expect(await codeOf(readKey(join(directory, "none.json")))).toBe("CONFIG_INVALID");
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
