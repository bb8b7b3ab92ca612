/** As `OrreryError` has them, which this package does not know. */
interface Coded extends Error {
  readonly code: string;
  /** Of the system: what was asked of it. */
  readonly syscall?: unknown;
  readonly retryable?: unknown;
  readonly issues?: readonly { readonly path: string; readonly message: string }[];
}

/**
 * Code and reason of what a user can do something about, without a stack: `EADDRINUSE: address already in use 127.0.0.1:4170`. That
 * are an `OrreryError`, with its issues and its cause's message, a fault of the configuration, and an error of the system. Undefined
 * for anything else, which is a bug.
 */
export function reasonOf(error: unknown): string | undefined {
  if (!isCoded(error)) return undefined;
  const { code, message, issues = [], cause } = error;
  const at = message.indexOf(`${code}: `); // Node's own begin with what was asked, or with the code
  const reason = at === -1 ? `${code}: ${message}` : message.slice(at);
  const more = issues.map((issue) => `${issue.path}: ${issue.message}`);
  if (cause instanceof Error) more.push(`(${cause.message})`);
  return [reason, ...more].join(" ");
}

const isCoded = (error: unknown): error is Coded =>
  error instanceof Error &&
  "code" in error &&
  typeof error.code === "string" &&
  (error.code === "CONFIG_INVALID" || "syscall" in error || "retryable" in error);
