import type { IncomingMessage } from "node:http";
import { isIPv4 } from "node:net";
import { type ErrorCode, OrreryError } from "@orrery/contracts";

/** Who may make requests: `isOpen`, this machine only; and pages of these origins. */
export interface RequestRules {
  readonly isOpen: boolean;
  readonly origins: ReadonlySet<string>;
}

/** Origins as a browser says them, such as `https://shop.example:8443`. Anything else, `*` too, is `CONFIG_INVALID`. */
export function originsFrom(origins: readonly string[] = []): ReadonlySet<string> {
  const faults = origins.filter((origin) => partOf(origin, (url) => url.origin) !== origin);
  if (faults.length === 0) return new Set(origins);
  throw new OrreryError("CONFIG_INVALID", { detail: `Not an origin: ${faults.join(", ")}.` });
}

/** Whether a page's `Origin` may connect; a program that is no browser sends none. */
export function isAllowedOrigin(origin: string | undefined, { isOpen, origins }: RequestRules): boolean {
  return origin === undefined || origins.has(origin) || (isOpen && isLoopbackUrl(origin));
}

/**
 * Why a request is refused, whether it begins a connection or says that it belongs to one. In open mode a handshake may name
 * its own role, so only this machine may reach the hub: not a page either that has its own name lead to this machine (DNS
 * rebinding), whose requests have no origin but that name as their host.
 */
export function requestRefusal(request: IncomingMessage, rules: RequestRules): ErrorCode | undefined {
  const { socket, headers } = request;
  const isHere = isLoopback(socket.localAddress) && isLoopbackUrl(`http://${headers.host}`);
  if (rules.isOpen && !isHere) return "OPEN_MODE_NOT_LOOPBACK";
  const isScript = queryOf(request).j !== undefined;
  return isScript || !isAllowedOrigin(headers.origin, rules) ? "ORIGIN_FORBIDDEN" : undefined;
}

/**
 * As Engine.IO has read it. `j`: long polling as a `<script>`, for browsers that knew no other way; all of them let every page
 * do that, and say no origin.
 */
const queryOf = (request: IncomingMessage) =>
  (request as { readonly _query?: { readonly j?: string } })._query ?? {};

/** Whether an address of this machine, or a name for it, reaches this machine only. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  const isV4 = isIPv4(address.replace(/^::ffff:/, "")); // a name may begin like an address
  return address === "::1" || address === "localhost" || (isV4 && /^(::ffff:)?127\./.test(address));
}

const isLoopbackUrl = (url: string): boolean =>
  isLoopback(partOf(url, ({ hostname }) => hostname.replace(/^\[|\]$/g, "")));

function partOf(url: string, read: (url: URL) => string): string | undefined {
  try {
    return read(new URL(url));
  } catch {
    return undefined;
  }
}
