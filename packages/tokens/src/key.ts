import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { OrreryError } from "@orrery/contracts";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import { z } from "zod";

const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/);
/** RFC 7518, section 3.2: for HS256 a key of 256 bits at least, which is 43 characters of base64url. */
const Secret = z.object({ kty: z.literal("oct"), k: base64url.min(43), kid: z.string().optional() });
/** RFC 8037, section 2. `d` is the private part. */
const Pair = z.object({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: base64url.length(43),
  d: base64url.length(43).optional(),
  kid: z.string().optional(),
});
const Jwk = z.discriminatedUnion("kty", [Secret, Pair]);

/** A key for tokens, as a JSON Web Key (RFC 7517). */
export interface Key {
  readonly algorithm: "EdDSA" | "HS256";
  readonly jwk: Readonly<JWK>;
  /** Whether it signs; the public part of a pair only checks. */
  readonly canSign: boolean;
}

/** From a JSON Web Key of type `OKP` (Ed25519, private or public) or `oct` (HS256). Any other is `CONFIG_INVALID`. */
export function keyFrom(jwk: unknown): Key {
  const parsed = Jwk.safeParse(jwk);
  if (!parsed.success) {
    // What is wrong, never what stands there: it is a secret.
    const faults = parsed.error.issues.map(({ path }) => path.join(".") || "the whole").join(", ");
    const detail = `A key is a JSON Web Key, OKP with Ed25519 or oct of 32 bytes or more. Wrong: ${faults}.`;
    throw new OrreryError("CONFIG_INVALID", { detail });
  }
  const { data } = parsed;
  const isPair = data.kty === "OKP";
  return {
    algorithm: isPair ? "EdDSA" : "HS256",
    jwk: data as JWK, // zod's optional properties may be undefined, jose's may not
    canSign: !isPair || data.d !== undefined,
  };
}

/** From a file that holds a JSON Web Key. One that is not there, or holds something else, is `CONFIG_INVALID`, and says why. */
export async function readKey(file: string): Promise<Key> {
  let jwk: unknown;
  try {
    jwk = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new OrreryError("CONFIG_INVALID", { detail: whyNoKey(file, error) });
  }
  return keyFrom(jwk);
}

/** A parser's message quotes the file, which is a secret; the system's does not. */
function whyNoKey(file: string, error: unknown): string {
  if (error instanceof SyntaxError) return `The key file ${file} cannot be read: it is not JSON.`;
  const { code, message } = error as NodeJS.ErrnoException;
  return code === "ENOENT"
    ? `There is no key file ${file}.`
    : `The key file ${file} cannot be read: ${message}.`;
}

/**
 * The Ed25519 key in the file, made where there is none, readable by its owner only. For development: hub and satellites of one
 * machine share it. Of several processes that start at once one makes it, and all have the same.
 */
export async function developmentKey(file: string): Promise<Key> {
  const isMissing = await readFile(file).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === "ENOENT",
  );
  if (isMissing) await makeKey(file);
  return readKey(file);
}

async function makeKey(file: string): Promise<void> {
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  await mkdir(dirname(file), { recursive: true });
  const whole = `${file}.${randomUUID()}`;
  await writeFile(whole, `${JSON.stringify(await exportJWK(privateKey))}\n`, { mode: 0o600 });
  try {
    await link(whole, file); // fails where somebody else was faster, and nobody ever reads half a key
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    await rm(whole);
  }
}
