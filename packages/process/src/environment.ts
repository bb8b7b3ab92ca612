import type { z } from "zod";

/** Variables whose value is never printed. */
const secret = /(KEY|TOKEN|SECRET)$/i;

/** The environment does not fit. The message lists every fault, a line each. */
export class EnvironmentError extends Error {
  readonly code = "CONFIG_INVALID";
  /** One line each: `HUB_PORT: expected a whole number from 0 to 65535, got "abc"`. */
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`The environment is not usable.\n${faults.join("\n")}`);
    this.name = "EnvironmentError";
    this.faults = faults;
  }
}

/**
 * The variables that the schema names, checked. Others are not looked at, and an empty string counts as missing, because
 * that is what `docker compose` and CI systems make of a variable nobody set. Throws one `EnvironmentError` with all
 * faults; values of variables that end in KEY, TOKEN or SECRET are not in it.
 */
export function readEnvironment<Schema extends z.ZodObject>(
  schema: Schema,
  env: Readonly<Record<string, string | undefined>> = process.env,
): z.output<Schema> {
  const names = Object.keys(schema.shape).filter((name) => env[name]);
  const result = schema.safeParse(Object.fromEntries(names.map((name) => [name, env[name]])), {
    error: ({ input }) => (input === undefined ? "expected a value" : undefined),
  });
  if (result.success) return result.data;
  throw new EnvironmentError(result.error.issues.map(({ path: [name], message }) => fault(name, message)));

  function fault(name: PropertyKey | undefined, message: string): string {
    if (name === undefined) return message; // a rule about several variables
    const value = env[String(name)];
    if (!value) return `${String(name)}: ${message}, got nothing`;
    return `${String(name)}: ${message}${secret.test(String(name)) ? "" : `, got ${JSON.stringify(value)}`}`;
  }
}
