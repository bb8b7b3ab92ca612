import type { Server as HttpServer, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type ClientToServerEvents,
  type Contract,
  type ErrorBody,
  type ErrorCode,
  errorBody,
  errors,
  OrreryError,
  type ServerToClientEvents,
  uuidv7Source,
} from "@orrery/contracts";
import type { EventLog } from "@orrery/event-log";
import type { KeySource } from "@orrery/tokens";
import { type Namespace, Server } from "socket.io";
import { z } from "zod";
import { Audiences, type HubNamespace, type HubSocket } from "./audience.ts";
import {
  type Connection,
  cutOff,
  flushPerTurn,
  forgetSoon,
  isPolling,
  stayAlive,
  unsentBytes,
} from "./connection.ts";
import { corkedWs } from "./corked-ws.ts";
import { cursorOf } from "./cursor.ts";
import { Door } from "./door.ts";
import { keepDoor } from "./doorkeeper.ts";
import { Entrance } from "./entrance.ts";
import { fanOut } from "./fan-out.ts";
import { filterOf } from "./filter-of.ts";
import { Followers } from "./follow.ts";
import { History } from "./history.ts";
import type { Handshake } from "./identity.ts";
import { type Limits, limitsFrom } from "./limits.ts";
import { Listening } from "./listen.ts";
import { LogReader } from "./log-reader.ts";
import { type Logger, silentLogger } from "./logger.ts";
import { Meter } from "./meter.ts";
import { isAllowedOrigin, isLoopback, originsFrom, requestRefusal } from "./origin.ts";
import { ownServer, type Tls } from "./own-server.ts";
import { hubParser } from "./parser.ts";
import { Presence } from "./presence.ts";
import { Publisher } from "./publish.ts";
import { Questions } from "./questions.ts";
import { type Receiver, receive } from "./receive.ts";
import { type Revocation, Revocations } from "./revocations.ts";
import { expiryOf } from "./session.ts";
import { Sessions } from "./sessions.ts";
import { Tail } from "./tail.ts";
import { Tally } from "./tally.ts";
import { Tokens } from "./tokens.ts";
import { Turns } from "./turns.ts";
import { endUnread } from "./unread.ts";
import { WorkGroups } from "./work.ts";
import type { GroupTools } from "./work-group.ts";

export interface HubOptions {
  /** One namespace each. */
  readonly contracts: readonly Contract[];
  /** Stays the caller's: close the hub first, then the log. */
  readonly log: EventLog;
  /**
   * What tokens are checked with: each satellite presents one, and is who it says. Default: open mode, in which the hub believes
   * whoever connects, and serves this machine only.
   */
  readonly keys?: KeySource;
  /**
   * Origins whose pages may connect, exactly as browsers say them: `https://shop.example`. Default: none; in open mode those
   * of loopback may always. What is no browser needs none.
   */
  readonly origins?: readonly string[];
  /** The hub's own server speaks `https` only. Default: `http`, for loopback or behind something that encrypts. */
  readonly tls?: Tls;
  /** Mounts on this server, at Socket.IO's path `/socket.io/`; it stays the caller's. Default: a server of its own. */
  readonly server?: HttpServer;
  readonly limits?: Partial<Limits>;
  /**
   * How many of one's own proxies stand before the hub, one behind the other: the address that the limits count by is then
   * the one that the outermost of them has added to `X-Forwarded-For`. Default 0: the one that the connection comes from. Others need
   * `keys`.
   */
  readonly proxies?: number;
  /** Default: silent. */
  readonly logger?: Logger;
}

export interface Hub {
  /**
   * Starts the hub's own server; port 0 takes a free one. Default 127.0.0.1:4170. Without keys any other than a loopback
   * address is `OPEN_MODE_NOT_LOOPBACK`. Resolves with the address that satellites connect to, such as
   * `http://127.0.0.1:4170`.
   */
  listen(options?: { readonly host?: string; readonly port?: number }): Promise<string>;
  /** The contract's Socket.IO namespace, with its events' types, for what a mounting application does beside the hub. */
  namespace<C extends Contract>(contract: C): Namespace<ClientToServerEvents<C>, ServerToClientEvents<C>>;
  /**
   * Tokens of a satellite, or of all, that were issued up to a time, are good no more: connections that live by one are closed
   * at once, with `TOKEN_REVOKED`, and none is let in or renewed with one, also after a restart of the hub. Resolves when that
   * is on disk; where the log refuses, it rejects, and only this run of the hub knows. Without keys, and where what is to be
   * revoked can be no satellite, `CONFIG_INVALID`.
   */
  revoke(revocation?: Revocation): Promise<void>;
  /** Refuses new events with `HUB_CLOSING`, answers those that it took, then lets all satellites go; they may reconnect. */
  close(): Promise<void>;
}

/**
 * Makes a hub that serves the contracts from the log. Throws `CONTRACT_INVALID` for data that is not plain JSON or names
 * used twice, `CONFIG_INVALID` for limits or proxies out of range, proxies without keys, what is no origin, a certificate that
 * does not fit, and `tls` beside a `server`, which has its own.
 */
export function createHub({
  contracts,
  log,
  keys,
  origins,
  tls,
  server,
  limits: changes,
  proxies = 0,
  logger = silentLogger,
}: HubOptions): Hub {
  checkContracts(contracts);
  const limits = limitsFrom(changes);
  const nextId = uuidv7Source();
  let isClosing = false;

  if (server !== undefined && tls !== undefined)
    throw new OrreryError("CONFIG_INVALID", {
      detail: "The server that the hub is mounted on has its own TLS.",
    });
  if (!Number.isSafeInteger(proxies) || proxies < 0)
    throw new OrreryError("CONFIG_INVALID", { detail: "`proxies` must be a whole number from 0 on." });
  // The proxy is of this machine, and whoever comes through it need not be.
  if (proxies > 0 && keys === undefined)
    throw new OrreryError("CONFIG_INVALID", {
      detail: "A hub behind proxies needs keys: without them it serves this machine only.",
    });
  const requestRules = { isOpen: keys === undefined, origins: originsFrom(origins) };
  const door = new Door(limits);
  const inside = new Tally();
  const meter = new Meter(limits, logger, inside);
  const claims = { count: 0, most: limits.claims, parts: 0 };
  const httpServer = server ?? ownServer(limits, tls, proxies === 0 ? door : undefined);
  const io = new Server<ClientToServerEvents, ServerToClientEvents, Record<never, never>, Handshake>(
    httpServer,
    {
      parser: hubParser,
      serveClient: false,
      wsEngine: corkedWs(limits),
      maxHttpBufferSize: limits.messageBytes,
      connectTimeout: limits.connectTimeoutMs,
      pingInterval: limits.pingIntervalMs,
      pingTimeout: limits.pingTimeoutMs,
      cleanupEmptyChildNamespaces: true,
      cors: {
        origin: (origin, allow) => allow(null, isAllowedOrigin(origin, requestRules)),
        preflightContinue: true, // to the door, which counts them too
      },
    },
  );
  httpServer.prependListener("request", (request: IncomingMessage, response: ServerResponse) => {
    const isOurs = server === undefined || request.url?.startsWith(`${io.path()}/`);
    if (isOurs) endUnread(request, response);
  });
  keepDoor(io, door, meter, proxies, limits.handshakesPerSecond, (request, isNew) =>
    isNew && isClosing ? "HUB_CLOSING" : requestRefusal(request, requestRules),
  );
  const connections = new Set<Connection>();
  io.engine.on("connection", (connection: Connection) => {
    connections.add(connection);
    forgetSoon(connection, limits.closeMs);
    flushPerTurn(connection);
    stayAlive(connection);
    connection.once("close", (reason) => {
      connections.delete(connection);
      if (reason === "ping timeout") cutOff(connection); // it will not say goodbye either
    });
  });

  const audiences = new Map<string, Audiences>();
  const turns = new Turns(limits.workPercent);
  const tail = new Tail(log.head, limits.tailBytes);
  const publisher = new Publisher(log, limits, logger, (events) => {
    tail.push(events);
    fanOut(events, (contract) => audiences.get(contract));
    if (events.length > 0) turns.passed();
    for (const { followers, groups } of served) {
      followers.grown();
      groups.look();
    }
  });
  const revocations = new Revocations(log, publisher, new Set(contracts.flatMap(({ roles }) => roles)));
  const tokens = keys && new Tokens(keys, revocations, limits, logger);
  const entrance = new Entrance(tokens, limits, logger, inside);
  const sessions = new Sessions(tokens, revocations, limits, logger, dismiss);
  const reader = new LogReader(log, publisher, tail, limits.messageBytes);
  const served: Receiver[] = [];
  const watch = setInterval(moveSlowOnes, limits.unsentCheckMs);
  watch.unref();
  const tell = setInterval(tellReached, limits.reachedMs);
  tell.unref();

  for (const contract of contracts) serve(contract);
  refuseOtherNamespaces(io);

  function serve(contract: Contract): void {
    const namespace: HubNamespace = io.of(`/${contract.name}`);
    const ours = new Audiences(namespace, limits.messageBytes);
    audiences.set(contract.name, ours);
    const onReadFault = (socket: HubSocket, error: unknown) => {
      logger.error({ ...socket.data.identity, err: error }, "the log could not be read");
      dismiss(socket, "LOG_FAILED");
    };
    const listening = new Listening(contract, log, publisher, reader, turns, ours, limits, onReadFault);
    const followers = new Followers(contract, log, publisher, reader, turns, meter, limits, logger);
    const tools: GroupTools = {
      contract,
      meter,
      claims,
      onRoom: () => {
        for (const { groups } of served) groups.look();
      },
      epoch: log.epoch,
      publisher,
      reader,
      logger,
      limits,
      nextId,
      isClosing: () => isClosing,
    };
    const groups = new WorkGroups(log, tools);
    const history = new History(log, groups, tools);
    const questions = new Questions(contract, limits, nextId, () => isClosing);
    const presence = new Presence(contract, limits, listening, followers);
    const receiver: Receiver = {
      contract,
      meter,
      groups,
      history,
      questions,
      presence,
      sessions,
      publisher,
      listening,
      followers,
      limits,
      logger,
      nextId,
      isClosing: () => isClosing,
    };
    served.push(receiver);

    namespace.use((socket, proceed) => {
      void entrance.enter(contract, socket).then((fault) => proceed(fault && refusal(fault)));
    });

    namespace.on("connection", (socket) => {
      const { identity, form } = socket.data;
      logger.debug({ ...identity, form }, "a satellite connected");
      meter.join(socket);
      presence.connect(socket);
      socket.on("disconnect", (reason) => {
        presence.leave(socket);
        listening.leave(socket);
        followers.leave(socket);
        groups.leave(socket);
        questions.leave(socket);
        sessions.leave(socket);
        logger.debug({ ...identity, reason }, "a satellite disconnected");
      });
      // The connection carried something that is no packet: Socket.IO closes it right after this.
      socket.on("error", (error) => {
        const code = error instanceof OrreryError ? error.code : "PACKET_INVALID";
        logger.warn({ ...identity, code }, "a connection broke the protocol");
        socket.emit("hub:close", errorBody(code));
      });
      socket.onAny((name: unknown, ...args: unknown[]) => {
        receive(receiver, socket, name, args);
        // Here and not only now and then: under a flood the timer comes late.
        holdUnread(socket.conn);
      });
      if (sessions.begin(socket)) greet(socket);
    });

    function greet(socket: HubSocket): void {
      const { identity, form, events, rooms, session } = socket.data;
      if (form === "plain") {
        const filter = filterOf(contract, identity, events, rooms, limits);
        if ("events" in filter) listening.listenFromNow(socket, filter);
        return;
      }
      const { eventBytes, batchEvents, messageBytes } = limits;
      const expires = expiryOf(session);
      socket.emit("hub:welcome", {
        contract: { name: contract.name, version: contract.version },
        satellite: identity,
        cursor: cursorOf(log.epoch, publisher.head),
        limits: { eventBytes, batchEvents, messageBytes },
        ...(expires !== undefined && { expires }),
      });
    }
  }

  function tellReached(): void {
    for (const ours of audiences.values()) ours.reached(publisher.head);
  }

  /** Satellites that do not read what they are sent leave live delivery, and are not listened to, so that nothing piles up. */
  function moveSlowOnes(): void {
    for (const { contract, listening } of served) {
      for (const socket of [...(audiences.get(contract.name)?.sockets() ?? [])]) {
        if (unsentBytes(socket.conn) > limits.unsentBytes) listening.fallBehind(socket);
      }
    }
    for (const connection of connections) holdUnread(connection);
  }

  /** One that polls is cut off: what it is sent waits for its next poll, which may never come. */
  function holdUnread(connection: Connection): void {
    if (unsentBytes(connection) <= limits.unsentBytes) return;
    if (isPolling(connection)) connection.close();
    else meter.hold(connection);
  }

  return {
    async listen({ host = "127.0.0.1", port = 4170 } = {}) {
      if (server !== undefined)
        throw new OrreryError("CONFIG_INVALID", { detail: "This hub is mounted on a server." });
      if (requestRules.isOpen && !isLoopback(host))
        throw new OrreryError("OPEN_MODE_NOT_LOOPBACK", { detail: `Not ${host}.` });
      await new Promise<void>((resolve, reject) => {
        httpServer.once("error", reject).listen(port, host, () => {
          httpServer.off("error", reject);
          resolve();
        });
      });
      const { address, family, port: taken } = httpServer.address() as AddressInfo;
      return `${tls ? "https" : "http"}://${family === "IPv6" ? `[${address}]` : address}:${taken}`;
    },
    namespace(contract) {
      if (!contracts.includes(contract)) throw new OrreryError("UNKNOWN_CONTRACT", { detail: contract.name });
      return io.of(`/${contract.name}`) as never;
    },
    revoke: (revocation = {}) => sessions.revoke(revocation),
    async close() {
      isClosing = true;
      sessions.end();
      clearInterval(watch);
      clearInterval(tell);
      for (const { groups, presence } of served) {
        groups.end();
        presence.end();
      }
      await Promise.all(served.map(({ questions }) => questions.end()));
      await publisher.idle();
      tellReached();
      await letAllGo(io, limits.closeMs);
      for (const connection of connections) cutOff(connection);
      await publisher.idle(); // what followers have answered in the meantime
      // A foreign server goes on: `io.close()` would close it too.
      if (server !== undefined) return void io.engine.close();
      const closed = io.close();
      httpServer.closeAllConnections();
      await closed;
    },
  };
}

/** Resolves when every satellite has been told and is gone, or, for those that do not read, after `closeMs`. */
async function letAllGo(io: Server, closeMs: number): Promise<void> {
  const sockets = [...io._nsps.values()].flatMap((namespace) => [...namespace.sockets.values()]);
  const gone = sockets.map((socket) => new Promise((resolve) => socket.conn.once("close", resolve)));
  for (const socket of sockets) dismiss(socket, "HUB_CLOSING");
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise((resolve) => {
    timer = setTimeout(resolve, closeMs);
  });
  await Promise.race([Promise.all(gone), timeout]);
  clearTimeout(timer);
}

/** Says why, then closes: for good, or, where the code is retryable, so that the client reconnects by itself. */
function dismiss(socket: Pick<HubSocket, "emit" | "conn" | "disconnect">, code: ErrorCode): void {
  socket.emit("hub:close", errorBody(code));
  if (errors[code].retryable) socket.conn.close();
  else socket.disconnect(true);
}

/** As Socket.IO's middleware wants it: `data` reaches the client's `connect_error`. */
const refusal = (body: ErrorBody): Error => Object.assign(new Error(body.message), { data: body });

/** Without this, Socket.IO lets anybody into `/` and refuses the rest without a code. */
function refuseOtherNamespaces(io: Server): void {
  const others = [io.of("/"), io.of((_name, _auth, allow) => allow(null, true))];
  for (const namespace of others)
    namespace.use((_socket, next) => next(refusal(errorBody("UNKNOWN_CONTRACT"))));
}

function checkContracts(contracts: readonly Contract[]): void {
  const faults: string[] = [];
  const names = new Set<string>();
  for (const { name, events } of contracts) {
    if (names.has(name)) faults.push(`two contracts are called "${name}"`);
    names.add(name);
    for (const [event, { data, reply }] of Object.entries(events)) {
      for (const [part, schema] of Object.entries({ data, reply })) {
        try {
          if (schema !== undefined) z.toJSONSchema(schema);
        } catch (error) {
          faults.push(
            `${name}, event "${event}": the ${part} is not plain JSON (${(error as Error).message})`,
          );
        }
      }
    }
  }
  if (faults.length > 0) throw new OrreryError("CONTRACT_INVALID", { detail: faults.join("; ") });
}
