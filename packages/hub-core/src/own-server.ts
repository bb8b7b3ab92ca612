import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { OrreryError } from "@orrery/contracts";

/** A certificate, with those between it and a known one, and its private key: both PEM. */
export interface Tls {
  readonly cert: string;
  readonly key: string;
}

/** The longest that the body of a request takes to arrive: a full message over a slow line. Milliseconds. */
const requestMs = 30_000;
/** How late a connection that takes too long may be noticed. Milliseconds. */
const checkMs = 1_000;

/**
 * The hub's own server, for satellites alone; with `tls` for `https` only. A connection has `connectTimeoutMs` for its TLS
 * handshake, and as long again for a request's headers. A certificate or a key that is none is `CONFIG_INVALID`.
 */
export function ownServer(connectTimeoutMs: number, tls: Tls | undefined): Server {
  const options = {
    headersTimeout: connectTimeoutMs,
    requestTimeout: Math.max(requestMs, connectTimeoutMs),
    connectionsCheckingInterval: Math.min(checkMs, connectTimeoutMs),
    // Whatever the process is started with: what two readers take for different requests is none.
    insecureHTTPParser: false,
  };
  if (tls === undefined) return createServer(options, refuse);
  try {
    return createTlsServer({ ...options, ...tls, handshakeTimeout: connectTimeoutMs }, refuse);
  } catch (cause) {
    // Never what stands there.
    const detail = "The hub's certificate and key are no PEM, or not of each other.";
    throw new OrreryError("CONFIG_INVALID", { detail, cause });
  }
}

const refuse: Parameters<typeof createServer>[1] = (_request, response) => response.writeHead(404).end();
