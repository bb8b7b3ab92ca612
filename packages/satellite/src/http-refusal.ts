import type { ErrorBody } from "@orrery/contracts";

/**
 * Why the hub refused a connection before there was one. Only long polling can read the answer to its handshake, and just where
 * Engine.IO's client has it.
 */
export function httpRefusal(error: unknown): ErrorBody | undefined {
  const text = (error as { readonly context?: { readonly responseText?: unknown } }).context?.responseText;
  if (typeof text !== "string") return undefined;
  try {
    const told: unknown = JSON.parse(text)?.error;
    return isErrorBody(told) ? told : undefined;
  } catch {
    return undefined; // a proxy's words
  }
}

const isErrorBody = (told: unknown): told is ErrorBody =>
  typeof told === "object" && told !== null && "code" in told && "retryable" in told;
