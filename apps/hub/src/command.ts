import { parseArgs } from "node:util";
import { parcels } from "@orrery/contracts/parcels";
import { identityOf } from "@orrery/tokens";

export const usage = `Usage:
  orrery token <role>:<id> [--for 1h] [--contract ${parcels.name}] [--key FILE]
      Prints a signed token. --for: how long it is good for, such as 30s, 15m, 1h or 7d.
      --key: a file with a JSON Web Key that signs. Without it the development key signs:
      ORRERY_DEV_KEY, by default ./.orrery/dev-key.json, made where it is missing.

  orrery revoke <role>:<id> [--contract ${parcels.name}] | --all [--before 2026-01-31T12:00:00Z]
      Revokes tokens that were issued before now, or before that time: writes so to the file that the
      hub watches, HUB_REVOKED, by default revoked.json in HUB_DATA, which is ./.orrery by default.
      --contract: whose role it is. They are revoked for all contracts of that hub.

  orrery --help
`;

/** What the command line asks for. */
export type Command =
  | { readonly name: "help" }
  | {
      readonly name: "token";
      readonly satellite: string;
      readonly contract: string;
      readonly lifetimeMs: number;
      readonly keyFile: string | undefined;
    }
  /** `satellite` undefined: all of them. `issuedBefore`: milliseconds since 1970. */
  | { readonly name: "revoke"; readonly satellite: string | undefined; readonly issuedBefore: number };

/** The command line is not understood; the message says why, for people. */
export class UsageError extends Error {}

/** `words`: behind the program's name. Throws a `UsageError`. */
export function commandOf(words: readonly string[], nowMs: number): Command {
  const { values, positionals } = parsed(words);
  const [name, subject, ...more] = positionals;
  if (values.help === true || name === "help") return { name: "help" };
  if (more.length > 0) throw new UsageError(`One satellite at a time, not ${more.join(" ")} as well.`);
  const { for: lifetime, contract, key: keyFile, all, before } = values;
  switch (name) {
    case "token":
      refuse({ all, before });
      return {
        name,
        satellite: satelliteOf(subject, contract ?? parcels.name),
        contract: contract ?? parcels.name,
        lifetimeMs: durationMs(lifetime ?? "1h"),
        keyFile,
      };
    case "revoke":
      refuse({ for: lifetime, key: keyFile, ...(all === true && { contract }) });
      if ((subject === undefined) !== (all === true)) throw new UsageError("Either a satellite, or --all.");
      return {
        name,
        satellite: subject === undefined ? undefined : satelliteOf(subject, contract ?? parcels.name),
        issuedBefore: before === undefined ? nowMs : pastMs(before, nowMs),
      };
    case undefined:
      throw new UsageError("What is it to do?");
    default:
      throw new UsageError(`There is no command "${name}".`);
  }
}

function parsed(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        for: { type: "string" },
        contract: { type: "string" },
        key: { type: "string" },
        all: { type: "boolean" },
        before: { type: "string" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** The options of another command. */
function refuse(options: Readonly<Record<string, unknown>>): void {
  const [first] = Object.entries(options).find(([, value]) => value !== undefined) ?? [];
  if (first !== undefined) throw new UsageError(`--${first} does not belong here.`);
}

/** Of the contract that is known here, the role is checked: what is misspelt is refused by the hub where nobody sees it. */
function satelliteOf(subject: string | undefined, contract: string): string {
  const identity = subject === undefined ? undefined : identityOf(subject);
  if (subject === undefined || identity === undefined) {
    throw new UsageError(
      `A satellite looks like vendor:acme${subject === undefined ? "" : `, not like ${subject}`}.`,
    );
  }
  const roles: readonly string[] = parcels.roles;
  if (contract === parcels.name && !roles.includes(identity.role)) {
    throw new UsageError(`${parcels.name} has no role "${identity.role}", but ${roles.join(", ")}.`);
  }
  return subject;
}

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

function durationMs(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,4})([smhd])$/.exec(text) ?? [];
  if (count === undefined)
    throw new UsageError(`A duration looks like 30s, 15m, 1h or 7d, not like ${text}.`);
  return Number(count) * units[unit as keyof typeof units];
}

/** One in the future would refuse tokens that are still to be issued, and nothing takes it back. */
function pastMs(text: string, nowMs: number): number {
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text);
  const ms = isTime ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw new UsageError(`A time looks like 2026-01-31T12:00:00Z, not like ${text}.`);
  if (ms > nowMs) throw new UsageError(`${text} is in the future.`);
  return ms;
}
