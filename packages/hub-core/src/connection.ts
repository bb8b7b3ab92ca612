// One satellite's connection as Engine.IO and `ws` have it. Their types call some of it private; there is no other way to
// know what is unsent that costs nothing per packet, and tests notice if it goes away.
import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import type { HubSocket } from "./audience.ts";

export type Connection = HubSocket["conn"];

interface Insides {
  flush: () => void;
  readonly id: string;
  readonly writeBuffer: readonly { readonly data?: unknown }[];
  /** `socket`: of a WebSocket; long polling has none. */
  readonly transport: { readonly socket?: WebSocket & SocketInsides };
}

interface SocketInsides {
  readonly _socket: Socket;
  readonly _receiver: { _allowSynchronousEvents: boolean } | null;
}

const insides = (connection: Connection) => connection as unknown as Insides;

/** As its satellite has it, and names it in each request of long polling. */
export const idOf = (connection: Connection): string => insides(connection).id;

/** Bytes of text that wait for a connection that does not read, counted as if it were ASCII, without what the system has. */
export function unsentBytes(connection: Connection): number {
  let bytes = 0;
  for (const { data } of insides(connection).writeBuffer) bytes += typeof data === "string" ? data.length : 0;
  return bytes;
}

/** Resolves when nothing of the connection waits any more, or when it is gone. */
export function whenDrained(connection: Connection): Promise<void> {
  const isDone = () => insides(connection).writeBuffer.length === 0 || connection.readyState === "closed";
  if (isDone()) return Promise.resolve();
  return new Promise((resolve) => {
    const check = () => {
      if (!isDone()) return;
      connection.off("drain", check);
      connection.off("close", check);
      resolve();
    };
    connection.on("drain", check);
    connection.on("close", check);
  });
}

/** Resolves after that time, or when the connection, which is there now, is gone. */
export function whenOver(connection: Connection, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      connection.off("close", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    connection.on("close", end);
  });
}

/**
 * Takes nothing more from a connection until then: what the system holds for it fills up, and its satellite has to wait. One
 * that polls sends by other connections, which have to be held up where they come in.
 */
export function holdBack(connection: Connection, until: () => Promise<void>): void {
  const { socket } = insides(connection).transport;
  if (socket === undefined || socket.isPaused) return;
  socket.pause();
  void until().then(() => socket.resume());
}

/**
 * Holds back a satellite that says much and does not read its receipts, until it has read them. One that polls is cut off: what
 * it is sent waits for its next poll, which may never come.
 */
export function holdBackUntilRead(connection: Connection): void {
  if (insides(connection).transport.socket === undefined) connection.close();
  else holdBack(connection, () => whenDrained(connection));
}

/** What a WebSocket brings, long before it is a message, if it ever is one. */
export interface Arrivals {
  /** As the system has read them. */
  readonly onBytes: (bytes: number) => void;
  /** A ping or a pong of the WebSocket's own. */
  readonly onPing: () => void;
}

/**
 * Tells of all that a WebSocket brings, and answers its pings; not while more than `mostUnsent` bytes wait for one that does not
 * read, where `ws` by itself would add an answer for each.
 */
export function watchSocket(connection: Connection, mostUnsent: number, { onBytes, onPing }: Arrivals): void {
  const watch = ({ socket }: Insides["transport"]) => {
    socket?._socket.prependListener("data", ({ length }) => onBytes(length));
    socket?.on("ping", (data) => {
      if (socket.readyState === socket.OPEN && socket.bufferedAmount <= mostUnsent) socket.pong(data);
      onPing();
    });
    socket?.on("pong", onPing);
  };
  watch(insides(connection).transport);
  connection.on("upgrade", watch);
}

/**
 * Whether the messages that came with one read are handed on one in each turn of the event loop, or together. A read of small
 * ones may hold thousands.
 */
export function spread(connection: Connection, isSpread: boolean): void {
  const { socket } = insides(connection).transport;
  if (socket?._receiver) socket._receiver._allowSynchronousEvents = !isSpread;
}

/**
 * Sends what one turn of the event loop brings for the connection, a settle's answer and the next claims for one, together.
 * Engine.IO by itself sends the first packet at once, and the others when the system has taken that: twice the system calls.
 */
export function flushPerTurn(connection: Connection): void {
  const inside = insides(connection);
  const flush = inside.flush.bind(connection);
  let isDue = false;
  inside.flush = () => {
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      isDue = false;
      flush();
    });
  };
}

/** `ws` by itself would wait 30 s for the other side's goodbye. Polling connections are the HTTP server's. */
export function cutOff(connection: Connection): void {
  insides(connection).transport.socket?.terminate();
}

/** A polling connection that is closed waits for the satellite's next poll: by itself 30 s, which would hold up the process. */
export function forgetSoon({ transport }: Connection, closeMs: number): void {
  if (transport.name === "polling") Object.assign(transport, { closeTimeout: closeMs });
}
