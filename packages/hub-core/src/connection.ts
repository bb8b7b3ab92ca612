// One satellite's connection as Engine.IO and `ws` have it. Their types call some of it private; there is no other way to
// know what is unsent that costs nothing per packet, and tests notice if it goes away.
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { WebSocket } from "ws";
import type { HubSocket } from "./audience.ts";
import type { Limits } from "./limits.ts";

export type Connection = HubSocket["conn"];

interface Insides {
  flush: () => void;
  readonly id: string;
  /** Null: no ping waits for an answer. */
  pingTimeoutTimer: NodeJS.Timeout | null;
  readonly pingIntervalTimer: NodeJS.Timeout;
  readonly writeBuffer: readonly { readonly data?: unknown }[];
  /** `socket`: of a WebSocket; long polling has none. */
  readonly transport: {
    readonly socket?: WebSocket & SocketInsides;
    onData: (data: string) => void;
    /** Of long polling: to the request whose data is handed on. */
    readonly dataRes?: ServerResponse;
  };
}

interface SocketInsides {
  readonly _socket: Socket;
  /** Makes messages of what was read. `_totalPayloadLength`: of the one that has begun. */
  readonly _receiver: Writable & { readonly _totalPayloadLength: number };
}

const insides = (connection: Connection) => connection as unknown as Insides;

/** As its satellite has it, and names it in each request of long polling. */
export const idOf = (connection: Connection): string => insides(connection).id;

/** What a packet that waits takes beside its text: of 20,000 receipts, each had 490 bytes of heap with 123 of text (Node 20). */
const packetBytes = 360;

/** Memory of what waits for a connection to be read, its text as if it were ASCII, without what the system has. Bytes. */
export function unsentBytes(connection: Connection): number {
  const { writeBuffer } = insides(connection);
  let bytes = packetBytes * writeBuffer.length;
  for (const { data } of writeBuffer) bytes += typeof data === "string" ? data.length : 0;
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

/** Whether it sends and hears by long polling. */
export const isPolling = (connection: Connection): boolean =>
  insides(connection).transport.socket === undefined;

/** What a WebSocket brings, long before it is a message, if it ever is one. */
export interface Arrivals {
  /** Whether what the system has read may be handed on; if not, the connection is held back, and it comes again. */
  readonly mayBegin: () => boolean;
  /** So many bytes of it are handed on next. */
  readonly onBytes: (bytes: number) => void;
  /** So long the hub has been at what came with one read, some or all of it, where that or its message is more than a piece. Milliseconds. */
  readonly onWork: (ms: number) => void;
  /** A ping or a pong of the WebSocket's own. */
  readonly onPing: () => void;
}

/** Calls it behind what was just handed on: Socket.IO has a tick for each message, and what that does at once may be in promises. */
const whenHandedOn = (call: () => void): void => queueMicrotask(() => process.nextTick(call));

/** What is handed on before the hub looks whether it may go on: a few events, or 150 of the smallest frames that there are. */
export const pieceBytes = 1_024;

/**
 * Tells of all that a WebSocket brings, and hands it on bit by bit, where `ws` by itself takes all that was read, which may be
 * thousands of messages: once the connection is held back the rest waits. Answers its pings; not while more than `mostUnsent`
 * bytes wait for one that does not read, where `ws` would add an answer for each.
 */
export function watchSocket(
  connection: Connection,
  mostUnsent: number,
  { mayBegin, onBytes, onWork, onPing }: Arrivals,
): void {
  const watch = ({ socket }: Insides["transport"]) => {
    if (socket === undefined) return;
    const { _socket: tcp, _receiver: receiver } = socket;
    const write = receiver.write.bind(receiver) as (bytes: Buffer) => boolean;
    let beganMs: number | undefined;
    let isMore = false;
    receiver.write = (bytes: Buffer) => {
      if (!isMore && !mayBegin()) {
        tcp.unshift(bytes);
        return true;
      }
      const piece = bytes.subarray(0, pieceBytes);
      isMore = piece.length < bytes.length;
      if (isMore || receiver._totalPayloadLength > pieceBytes) beganMs ??= performance.now();
      if (isMore) {
        tcp.pause();
        tcp.unshift(bytes.subarray(pieceBytes));
      }
      onBytes(piece.length);
      const isReady = write(piece);
      if (beganMs !== undefined) whenHandedOn(goOn);
      return isReady;
    };
    const goOn = () => {
      if (beganMs === undefined || !receiver.writable) return; // it has closed meanwhile
      onWork(performance.now() - beganMs);
      if (isMore && !socket.isPaused) return socket.resume();
      beganMs = undefined;
      isMore = false;
    };
    socket.on("ping", (data) => {
      if (socket.readyState === socket.OPEN && socket.bufferedAmount <= mostUnsent) socket.pong(data);
      onPing();
    });
    socket.on("pong", onPing);
  };
  watch(insides(connection).transport);
  connection.on("upgrade", watch);
}

/**
 * Ends a WebSocket that goes on although nobody hears it, since it is closed, or no connection's yet: until its time is over `ws`
 * reads what comes then, as fast as it comes, and throws it away. `unheardBytes` may have been on their way. It is not read any more at once, and cut
 * off after `closeMs`: with bytes unread that takes the goodbye, why it is closed, from the other side as well.
 */
export function boundUnheard(
  socket: WebSocket,
  { unheardBytes, closeMs }: Pick<Limits, "unheardBytes" | "closeMs">,
): void {
  const { _socket: tcp, _receiver: receiver } = socket as WebSocket & SocketInsides;
  let unheardFrom: number | undefined;
  let ending: NodeJS.Timeout | undefined;
  tcp.once("close", () => clearTimeout(ending));
  tcp.on("data", () => {
    const isWatched = Object.hasOwn(receiver, "write"); // by `watchSocket`
    const isHeard = isWatched && socket.readyState === socket.OPEN;
    unheardFrom = isHeard ? undefined : (unheardFrom ?? tcp.bytesRead);
    if (unheardFrom === undefined || tcp.bytesRead - unheardFrom <= unheardBytes) return;
    tcp.pause();
    tcp.resume = () => tcp; // `ws` would, and whoever held it back
    ending ??= setTimeout(() => socket.terminate(), closeMs);
  });
}

/** What is handed on of one request of long polling before the hub looks whether it may go on. */
const piecePackets = 16;
/** Between the packets of one request (Engine.IO's protocol, version 4). */
const packetSeparator = "\x1e";

/**
 * The same for one that polls, of which Engine.IO by itself takes all that one request has brought: half a million heartbeats held
 * up the hub for 1.5 s. The request is answered when all of it is handed on: a satellite that changes to WebSocket waits for that.
 * `begin` is called when more than a piece has come, and what it returns at that end, or when the connection is gone; `onPiece` after
 * each piece, but for one that is small and all, with the time that the hub was at it in milliseconds, and waited for before the next.
 */
export function watchPolling(
  connection: Connection,
  begin: () => () => void,
  onPiece: (ms: number) => Promise<void>,
): void {
  const { transport } = insides(connection);
  if (transport.socket !== undefined) return;
  const handOn = transport.onData.bind(transport);
  const handOnAll = async (packets: readonly string[]) => {
    for (let at = 0; at < packets.length && connection.readyState === "open"; at += piecePackets) {
      const beganMs = performance.now();
      handOn(packets.slice(at, at + piecePackets).join(packetSeparator));
      await nextTurn(); // behind its messages: Socket.IO hands on each in a tick of its own
      await onPiece(performance.now() - beganMs);
    }
  };
  transport.onData = (data) => {
    const packets = data.split(packetSeparator);
    if (packets.length <= piecePackets) {
      const beganMs = performance.now();
      handOn(data);
      if (data.length > pieceBytes) whenHandedOn(() => void onPiece(performance.now() - beganMs));
      return;
    }
    const end = begin();
    const answer = answerLater(transport.dataRes as ServerResponse);
    void handOnAll(packets).finally(() => {
      end();
      answer();
    });
  };
}

/** What it is ended with goes out when the function that this returns is called. */
function answerLater(response: ServerResponse): () => void {
  const end = response.end.bind(response);
  const ended = new Promise<string>((resolve) => {
    response.end = ((body: string) => {
      resolve(body);
      return response;
    }) as ServerResponse["end"];
  });
  return () => void ended.then((body) => end(body));
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

/** `ws` by itself would wait `closeMs` for the other side's goodbye. Polling connections are the HTTP server's. */
export function cutOff(connection: Connection): void {
  insides(connection).transport.socket?.terminate();
}

/**
 * Takes any message for the answer to Engine.IO's ping: the answer itself may be behind much else, where the connection is held
 * back, and without one the satellite hears no further ping and takes the hub for dead.
 */
export function stayAlive(connection: Connection): void {
  const inside = insides(connection);
  connection.on("packet", () => {
    if (inside.pingTimeoutTimer === null) return;
    clearTimeout(inside.pingTimeoutTimer);
    inside.pingTimeoutTimer = null;
    inside.pingIntervalTimer.refresh();
  });
}

/** A polling connection that is closed waits for the satellite's next poll: by itself 30 s, which would hold up the process. */
export function forgetSoon({ transport }: Connection, closeMs: number): void {
  if (transport.name === "polling") Object.assign(transport, { closeTimeout: closeMs });
}
