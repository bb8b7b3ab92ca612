// One satellite's connection as Engine.IO and `ws` have it. Their types call some of it private; there is no other way to
// know what is unsent that costs nothing per packet, and tests notice if it goes away.
import type { WebSocket } from "ws";
import type { HubSocket } from "./audience.ts";

export type Connection = HubSocket["conn"];

interface Insides {
  flush: () => void;
  readonly writeBuffer: readonly { readonly data?: unknown }[];
  /** `socket`: of a WebSocket; long polling has none. */
  readonly transport: { readonly socket?: WebSocket };
}

const insides = (connection: Connection) => connection as unknown as Insides;

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

/**
 * Takes nothing more from a satellite that says much and does not read its receipts, until it has read them: what the system
 * holds for it then fills up, and it has to wait. A long polling one, whose messages come by other connections, is cut off.
 */
export function holdBack(connection: Connection): void {
  const { socket } = insides(connection).transport;
  if (socket === undefined) return connection.close();
  if (socket.isPaused) return;
  socket.pause();
  void whenDrained(connection).then(() => socket.resume());
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
