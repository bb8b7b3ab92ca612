import { join } from "node:path";
import { isLoopback } from "@orrery/hub-core";
import { portVariable, positiveVariable, variable } from "@orrery/process";
import { z } from "zod";
import { limitsVariable } from "./limits-variable.ts";

/** Where a secret is, and not the secret: what a variable holds may be printed, and shows in lists of processes. */
const secretFileVariable = variable("the path of a file, not what is in it", (text) =>
  /^\s*(\{|-----)|\n/.test(text) ? undefined : text,
);

const jwksVariable = variable("a URL with https://, or with http:// on this machine", (text) => {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const isHere = url.protocol === "http:" && isLoopback(url.hostname.replace(/^\[|\]$/g, ""));
  return url.protocol === "https:" || isHere ? url : undefined;
});

const originsVariable = variable("origins such as https://app.example, separated by commas", (text) => {
  const origins = text.split(",").map((origin) => origin.trim());
  const isOrigin = (origin: string) => URL.canParse(origin) && new URL(origin).origin === origin;
  return origins.every(isOrigin) ? origins : undefined;
});

const revokedVariables = {
  /** Directory of the log; made where it is missing. */
  HUB_DATA: z.string().default("./.orrery"),
  /** What `orrery revoke` writes, and the hub looks at four times a second; not set: `revoked.json` beside the log. */
  HUB_REVOKED: z.string().optional(),
};

/** What the hub and `orrery revoke` both need to know. */
export const RevokedEnvironment = z.object(revokedVariables);

export const revokedFile = ({ HUB_REVOKED: file, HUB_DATA: data }: z.output<typeof RevokedEnvironment>) =>
  file ?? join(data, "revoked.json");

/** The process's environment. */
export const HubEnvironment = z
  .object({
    /** Address to listen on. Without a key the hub is in open mode, which is for this machine only. */
    HUB_HOST: z.string().default("127.0.0.1"),
    /** TCP port; 0 takes a free one. */
    HUB_PORT: portVariable.default(4170),
    ...revokedVariables,
    /** Events older than this may go. Days; not set: they are kept for ever. */
    HUB_KEEP_DAYS: positiveVariable.optional(),
    /** While the log holds more than this, its oldest events go. Bytes; not set: it grows. */
    HUB_KEEP_BYTES: positiveVariable.optional(),
    /** A hard bound on the log's file: past it publishers are refused with `LOG_FULL`. Bytes; not set: the disk's end. */
    HUB_MAX_BYTES: positiveVariable.optional(),
    /** Changes of the hub's limits, as JSON: `{ "connections": 500 }`. Not set: the defaults. */
    HUB_LIMITS: limitsVariable.optional(),
    /** How many of one's own proxies stand before the hub, which needs a key then: whoever comes through them need not be of this machine. */
    HUB_PROXIES: variable("a whole number from 0 to 9", (text) =>
      /^\d$/.test(text) ? Number(text) : undefined,
    ).default(0),
    /** A file with the JSON Web Key that tokens are checked with: a public one, or a secret. */
    HUB_KEY: secretFileVariable.optional(),
    /** Address of the JSON Web Key Set of whoever issues tokens; read when a key of it is needed. */
    HUB_JWKS_URL: jwksVariable.optional(),
    /** For development: a file with the key of hub and satellites, made at the first start. */
    ORRERY_DEV_KEY: secretFileVariable.optional(),
    /** Pages of these origins may connect, separated by commas. */
    HUB_ORIGINS: originsVariable.optional(),
    /** The certificates for https, a PEM file. */
    HUB_TLS_CERT: z.string().optional(),
    /** The private key for https, a PEM file. */
    HUB_TLS_KEY: secretFileVariable.optional(),
    LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
  })
  .refine((environment) => keyVariablesOf(environment).length <= 1, {
    error: ({ input }) => `One key at most: ${keyVariablesOf(input as Keys).join(" or ")}`,
    when: always,
  })
  .refine(({ HUB_HOST: host, ...keys }) => isLoopback(host) || keyVariablesOf(keys).length > 0, {
    path: ["HUB_HOST"],
    error: "expected a loopback address (without a key the hub serves this machine only)",
    when: always,
  })
  .refine(({ HUB_PROXIES: proxies, ...keys }) => proxies === 0 || keyVariablesOf(keys).length > 0, {
    path: ["HUB_PROXIES"],
    error: "expected 0 (without a key the hub serves this machine only)",
    when: always,
  })
  .refine(({ HUB_HOST: host, ORRERY_DEV_KEY: file }) => isLoopback(host) || file === undefined, {
    path: ["HUB_HOST"],
    error: "expected a loopback address (a development key is for this machine only)",
    when: always,
  })
  .refine(({ HUB_TLS_CERT: cert, HUB_TLS_KEY: key }) => (cert === undefined) === (key === undefined), {
    error: "HUB_TLS_CERT and HUB_TLS_KEY: both, or none",
    when: always,
  });

export type HubVariables = z.output<typeof HubEnvironment>;

interface Keys {
  readonly HUB_KEY?: unknown;
  readonly HUB_JWKS_URL?: unknown;
  readonly ORRERY_DEV_KEY?: unknown;
}

/** Of the three, those that are set. */
function keyVariablesOf({ HUB_KEY, HUB_JWKS_URL, ORRERY_DEV_KEY }: Keys): string[] {
  return Object.entries({ HUB_KEY, HUB_JWKS_URL, ORRERY_DEV_KEY })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
}

/** A rule about several variables is told of too where one of them is not usable. */
function always(): boolean {
  return true;
}
