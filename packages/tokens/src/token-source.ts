import { readFile } from "node:fs/promises";
import { type Identity, nameOf, OrreryError } from "@orrery/contracts";
import { decodeJwt } from "jose";
import { z } from "zod";
import { developmentKey } from "./key.ts";
import { signToken } from "./sign.ts";
import { identityOf } from "./subject.ts";

/** From where a process has its satellites' tokens. Part of its environment's zod object. */
export const tokenVariables = {
  /** One satellite's token. When it runs out, that satellite is refused. */
  SATELLITE_TOKEN: z.string().optional(),
  /** A file with one satellite's token, read again whenever a token is needed: whoever writes it renews it. */
  SATELLITE_TOKEN_FILE: z
    .string()
    .refine((text) => !text.startsWith("eyJ"), "expected the path of a file, not the token itself")
    .optional(),
  /** For development: a key file that the hub has too, made where it is missing. Each satellite's token is signed with it. */
  ORRERY_DEV_KEY: z.string().optional(),
};

export type TokenEnvironment = z.output<z.ZodObject<typeof tokenVariables>>;

/** Who a satellite is, and how it shows that: what `connect` of `@orrery/satellite` takes. */
export type Credentials<Role extends string = string> =
  | { readonly token: string | (() => Promise<string>); readonly role?: never; readonly id?: never }
  | { readonly role: Role; readonly id: string; readonly token?: never };

export interface TokenSource {
  /** Whose the one token is; undefined where every satellite can have one, or none needs one. */
  readonly only: Identity | undefined;
  /** Throws `CONFIG_INVALID` where there is one token, and it is another satellite's. */
  credentialsOf<Role extends string>(identity: {
    readonly role: Role;
    readonly id: string;
  }): Credentials<Role>;
}

/** How long a token lives that a process signs for itself. Milliseconds. */
const lifetimeMs = 3_600_000;

/**
 * The tokens of a process's satellites, by its environment: the one that is given, or else one for each that is signed here, or
 * else none, for a hub in open mode. Rejects with `CONFIG_INVALID` where both forms of the one are given, and where it cannot be
 * read. `contract`: its name.
 */
export async function tokenSource(environment: TokenEnvironment, contract: string): Promise<TokenSource> {
  const { SATELLITE_TOKEN: given, SATELLITE_TOKEN_FILE: file, ORRERY_DEV_KEY: keyFile } = environment;
  if (given !== undefined && file !== undefined) {
    throw new OrreryError("CONFIG_INVALID", { detail: "SATELLITE_TOKEN or SATELLITE_TOKEN_FILE, not both." });
  }
  if (given !== undefined) return oneToken(given, given, "SATELLITE_TOKEN");
  if (file !== undefined) return oneToken(await readToken(file), () => readToken(file), file);
  if (keyFile === undefined) return { only: undefined, credentialsOf: (identity) => identity };
  await developmentKey(keyFile); // a broken one is found now
  return {
    only: undefined,
    credentialsOf: (identity) => ({
      // The key is read each time: it may have been made anew.
      token: async () =>
        signToken(await developmentKey(keyFile), { satellite: nameOf(identity), contract, lifetimeMs }),
    }),
  };
}

/** `origin`: where it is from, for people. */
function oneToken(first: string, token: string | (() => Promise<string>), origin: string): TokenSource {
  const only = subjectOf(first);
  if (only === undefined) {
    throw new OrreryError("CONFIG_INVALID", { detail: `What is in ${origin} is no token of a satellite.` });
  }
  return {
    only,
    credentialsOf(identity) {
      if (nameOf(identity) === nameOf(only)) return { token };
      const detail = `The one token that is there is ${nameOf(only)}'s, and ${nameOf(identity)} needs one.`;
      throw new OrreryError("CONFIG_INVALID", { detail });
    },
  };
}

async function readToken(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (cause) {
    throw new OrreryError("CONFIG_INVALID", { detail: `The token file ${file} cannot be read.`, cause });
  }
}

/** Of a token that is not checked here: the hub does that. */
function subjectOf(token: string): Identity | undefined {
  try {
    return identityOf(decodeJwt(token).sub ?? "");
  } catch {
    return undefined;
  }
}
