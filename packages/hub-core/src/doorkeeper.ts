import { type IncomingMessage, ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type ErrorBody, type ErrorCode, errorBody } from "@orrery/contracts";
import pLimit from "p-limit";
import type { Server } from "socket.io";
import { addressOf } from "./address.ts";
import { type Connection, idOf, isPolling } from "./connection.ts";
import type { Door } from "./door.ts";
import { whenIdle } from "./idle.ts";
import type { Meter } from "./meter.ts";
import { type Refusal, refuseUpgrade } from "./upgrade.ts";

interface EngineRequest extends IncomingMessage {
  readonly _query: Readonly<Record<string, string | undefined>>;
}

/**
 * Between two handshakes, each of 0.6 to 5 ms, the hub has to have so much time to spare at most, where more than that may come.
 * Milliseconds.
 */
const mostGapMs = 5;

/**
 * Lets connections in as the door says, one after the other at the pace of `handshakesPerSecond`, watches those that are in, and holds
 * up the messages of those that poll. `faultOf`: why a request is not taken, whoever comes; `isNew`: it begins a connection.
 */
export function keepDoor(
  { engine }: Server,
  door: Door,
  meter: Meter,
  proxies: number,
  handshakesPerSecond: number,
  faultOf: (request: IncomingMessage, isNew: boolean) => ErrorCode | undefined,
): void {
  const gapMs = Math.min(mostGapMs, 1_000 / handshakesPerSecond);
  const connections = new Map<string, Connection>();
  /** Let in, and not a connection yet. */
  const entering = new WeakMap<IncomingMessage, () => void>();
  const oneByOne = pLimit(1);

  engine.on("connection", (connection: Connection) => {
    const id = idOf(connection);
    const leave = entering.get(connection.request);
    entering.delete(connection.request);
    connections.set(id, connection);
    connection.setMaxListeners(0); // each of its followers may wait until it has read
    meter.watch(connection, addressOf(connection.request, proxies));
    connection.once("close", () => {
      connections.delete(id);
      leave?.();
    });
  });

  engine.use((request: EngineRequest, response: ServerResponse | object, next: (error?: Error) => void) => {
    const { sid } = request._query;
    const connection = sid === undefined ? undefined : connections.get(sid);
    const isPreflight = isAllowedPreflight(request, response);
    const isNew = !sid && !isPreflight; // as Engine.IO takes it
    const isUpgrade = !(response instanceof ServerResponse); // for those Engine.IO has something of its own
    const turnAway = (error: ErrorBody) => {
      const answer = answerOf(error);
      return isUpgrade ? refuseUpgrade(request.socket, answer) : refuse(answer, response);
    };
    const proceed = () => {
      if (isPreflight) return void response.writeHead(204).end();
      const fault = faultOf(request, isNew); // not earlier: the hub may close while it waits
      return fault === undefined ? next() : turnAway(errorBody(fault));
    };
    if (connection !== undefined && !isUpgrade) return void poll(connection, request, proceed);
    const address = addressOf(request, proxies);
    const nowMs = performance.now();
    const refusal = isNew ? door.refusal(address, nowMs) : door.handshakeRefusal(address, nowMs);
    if (refusal !== undefined) return turnAway(refusal);
    if (isNew) {
      const leave = door.enter(address);
      entering.set(request, leave);
      const carrier = isUpgrade ? request.socket : response;
      carrier.once("close", () => {
        if (entering.delete(request)) leave();
      });
    }
    if (isUpgrade) request.socket.on("error", () => undefined); // it may go while it waits
    const enter = () =>
      oneByOne(() => {
        proceed();
        return gapMs < 1 ? nextTurn() : whenIdle(gapMs); // Node's timers know no less
      });
    // Nothing that it says by WebSocket overtakes what it has said by polling.
    void (connection === undefined ? enter() : meter.whenNext(connection).then(enter));
  });

  /** What a satellite that polls says is not read before it may be. */
  async function poll(connection: Connection, request: EngineRequest, proceed: () => void): Promise<void> {
    const { EIO, transport } = request._query;
    const isPoll = request.method === "GET" && EIO === "4" && transport === "polling";
    // A second one at a time ends the connection. What is refused does not, and counts.
    if (isPoll && isPolling(connection) && faultOf(request, false) === undefined) return proceed();
    meter.posted(connection);
    await meter.whenNext(connection);
    if (!request.destroyed) proceed();
  }
}

/** A browser's question whether a page may ask, with its answer in the headers, if that is yes. */
const isAllowedPreflight = (
  request: IncomingMessage,
  response: ServerResponse | object,
): response is ServerResponse =>
  request.method === "OPTIONS" &&
  response instanceof ServerResponse &&
  response.hasHeader("access-control-allow-origin");

function refuse({ status, headers, body }: Refusal, response: ServerResponse): void {
  response.writeHead(status, headers).end(body);
}

/** In the form of Engine.IO's own refusals, with all that there is to say in `error`. */
function answerOf(error: ErrorBody): Refusal {
  const body = JSON.stringify({ code: forbidden, message: error.code, error });
  const { retryAfterMs } = error;
  const headers: Record<string, string> = {
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
    ...(retryAfterMs !== undefined && { "retry-after": String(Math.ceil(retryAfterMs / 1_000)) }),
  };
  return { status: statuses[error.code] ?? 403, headers, body };
}

/** HTTP's own, where there is one that says more than that the hub does not want it. */
const statuses: { readonly [Code in ErrorCode]?: number } = {
  CONNECTIONS_TOO_MANY: 503,
  HUB_CLOSING: 503,
  HANDSHAKES_TOO_MANY: 429,
};

/** Engine.IO's number for what its server does not want. */
const forbidden = 4;
