import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import { OrreryError } from "@orrery/contracts";
import { addressOf, networkOf } from "./address.ts";
import type { Door } from "./door.ts";
import type { Limits } from "./limits.ts";
import { Tally } from "./tally.ts";

/** A certificate, with those between it and a known one, and its private key: both PEM. */
export interface Tls {
  readonly cert: string;
  readonly key: string;
}

/** How late a connection that takes too long may be noticed. Milliseconds. */
const checkMs = 1_000;
/** Who polls has two requests open; some more for those that are refused, or have not asked yet. */
const socketsPerConnection = 2;
const spareSockets = 100;
/**
 * After it, half as much more or less, who is not worth an answer is cut off, so that it cannot come again at once, nor with all the
 * others: 50 that connect over and over were 3,000 attempts and 0.6 s of the hub's CPU a second. Milliseconds.
 */
const holdMs = 1_000;

/**
 * The hub's own server, for satellites alone, that gives nobody more time and room than they need; with `tls` for `https` only. A
 * connection has `connectTimeoutMs` for its TLS handshake, and as long again for the head of a request, of 16 KiB at most (Node's
 * bound). With a `door`, whoever opens sockets without end, or is not let in there and has been told so often, is not answered, and cut off
 * after a second; an address with more sockets than its connections can have is cut off at once. Without one all come from a proxy. A
 * certificate or a key that is none is `CONFIG_INVALID`.
 */
export function ownServer(limits: Limits, tls: Tls | undefined, door: Door | undefined): Server {
  const server = serverOf(limits, tls, door);
  server.maxConnections = socketsPerConnection * limits.connections + spareSockets;
  if (door !== undefined) guard(server, door, limits);
  return server;
}

function serverOf(
  { connectTimeoutMs, requestTimeoutMs }: Limits,
  tls: Tls | undefined,
  door: Door | undefined,
): Server {
  /** What is no handshake counts as one. The next request from there costs a new connection. */
  const refuse: RequestListener = (request, response) => {
    door?.handshakeRefusal(addressOf(request, 0), performance.now());
    response.writeHead(404, { connection: "close" }).end();
  };
  const options = {
    headersTimeout: connectTimeoutMs,
    requestTimeout: Math.max(requestTimeoutMs, connectTimeoutMs),
    connectionsCheckingInterval: Math.min(checkMs, connectTimeoutMs),
    // Whatever the process is started with: what two readers take for different requests is none.
    insecureHTTPParser: false,
  };
  const server = tls === undefined ? createServer(options, refuse) : tlsServerOf(tls, options, refuse);
  return server.on("checkExpectation", refuse); // else Node answers by itself, and nobody has counted it
}

function tlsServerOf(tls: Tls, options: ServerOptions, refuse: RequestListener): Server {
  try {
    return createTlsServer({ ...options, ...tls, handshakeTimeout: options.headersTimeout }, refuse);
  } catch (cause) {
    // Never what stands there.
    const detail = "The hub's certificate and key are no PEM, or not of each other.";
    throw new OrreryError("CONFIG_INVALID", { detail, cause });
  }
}

function guard(server: Server, door: Door, { connectionsPerAddress }: Limits): void {
  const most = socketsPerConnection * connectionsPerAddress + spareSockets;
  const sockets = new Tally();
  const serving = server.listeners("connection");
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    const address = networkOf(socket.remoteAddress ?? "");
    if (sockets.of(address) >= most) return void socket.destroy();
    socket.once("close", sockets.add(address));
    if (!door.serves(address, performance.now())) return hold(socket);
    for (const serve of serving) serve.call(server, socket);
  });
}

/** Nobody listens to it. */
function hold(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), (0.5 + Math.random()) * holdMs);
  socket.once("close", () => clearTimeout(timer));
  socket.on("error", () => undefined);
}
