import type { Socket } from "node:net";
import { defaultLimits } from "@orrery/hub-core";
import { WebSocket } from "ws";
import { largeParcelOf, parcelOf } from "./parcel.ts";

/** What somebody may throw at a hub on one connection, and, `churn`, connections themselves. */
export const floodKinds = ["events", "malformed", "big messages", "too large", "requests", "churn"] as const;
export type FloodKind = (typeof floodKinds)[number];

const driverId = "flooder";
/** Nobody of the bystanders listens to these. */
const inTransit = (parcel: object) => ({ ...parcel, driverId, collectedAt: "2026-01-01T00:00:00Z" });
const event = inTransit(parcelOf(0, 0));

const message = (ackId: number, ...content: readonly unknown[]) =>
  `42/parcels,${ackId}${JSON.stringify(content)}`;

const largeEntry = (place: number) => ["in-transit", inTransit(largeParcelOf(0, place))];
/** So many of them that a message is almost of the largest size. */
const largeEntries = Math.floor(
  (0.99 * defaultLimits.messageBytes) / Buffer.byteLength(JSON.stringify(largeEntry(100))),
);

/** The frames of one write: some 64 KB, messages of the largest size, and one that is larger. */
const frames: Readonly<Record<Exclude<FloodKind, "churn">, readonly string[]>> = {
  events: Array.from({ length: 200 }, (_, ackId) => message(ackId, "in-transit", event)),
  malformed: Array.from({ length: 200 }, (_, ackId) => [
    message(ackId, "in-transit", { parcelId: 7, customer: [] }),
    message(ackId, "toString", null),
    `43/parcels,${ackId}[{"nobody":"asked"}]`,
    "3",
  ]).flat(),
  "big messages": [
    message(
      0,
      "hub:emit",
      Array.from({ length: largeEntries }, (_, place) => largeEntry(place)),
    ),
  ],
  // For which the hub ends the connection.
  "too large": [message(0, "in-transit", "x".repeat(1.15 * defaultLimits.messageBytes))],
  requests: Array.from({ length: 100 }, (_, ackId) => [
    message(ackId, "hub:listen", { events: ["pickup"], after: "start" }),
    message(ackId, "hub:follow", { as: `f${ackId}`, events: ["pickup"], from: "start" }),
    message(ackId, "hub:history", { key: "0-1" }),
  ]).flat(),
};

/** Floods one server with one kind over some connections, as fast as it takes it in, and reads nothing of the answers. */
export class Flooder {
  readonly #url: string;
  readonly #kind: FloodKind;
  readonly #sockets = new Set<WebSocket>();
  #isOver = false;
  /** Messages that were handed to the system; of churn, attempts to connect. */
  sent = 0;
  /** Of churn: attempts that were refused. */
  refused = 0;

  constructor(url: string, kind: FloodKind) {
    this.#url = url;
    this.#kind = kind;
  }

  /** Goes on until `stop`, whatever the server makes of it. */
  start(connections: number): void {
    for (let number = 0; number < connections; number += 1) this.#connect();
  }

  stop(): void {
    this.#isOver = true;
    for (const socket of this.#sockets) socket.terminate();
  }

  #connect(): void {
    const socket = new WebSocket(`${this.#url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, {
      perMessageDeflate: false,
    });
    this.#sockets.add(socket);
    if (this.#kind === "churn") this.sent += 1;
    let isOpen = false;
    socket.on("error", () => {
      if (!isOpen) this.refused += 1;
    });
    socket.on("close", () => {
      this.#sockets.delete(socket);
      if (!this.#isOver) setImmediate(() => this.#connect());
    });
    socket.once("message", () => {
      isOpen = true;
      socket.send(`40/parcels,${JSON.stringify({ role: "driver", id: driverId, protocol: 1 })}`);
      socket.once("message", () => {
        if (this.#kind === "churn") return socket.send("42/parcels,[");
        this.#flood(socket, this.#kind);
      });
    });
  }

  /** Writes frames that were made once, past the library, so that the flood costs its sender as little as may be. */
  #flood(socket: WebSocket, kind: Exclude<FloodKind, "churn">): void {
    const tcp = (socket as unknown as { readonly _socket: Socket })._socket;
    const bytes = Buffer.concat(frames[kind].map(frameOf));
    const write = () => {
      while (!this.#isOver && !tcp.destroyed) {
        this.sent += frames[kind].length;
        if (!tcp.write(bytes)) return void tcp.once("drain", write);
      }
    };
    write();
  }
}

/** A client's text frame. Its mask is zero, so that the text stays as it is. */
function frameOf(text: string): Buffer {
  const content = Buffer.from(text);
  const isShort = content.length < 126;
  const header = Buffer.alloc(isShort ? 6 : content.length < 65_536 ? 8 : 14);
  header[0] = 0x81;
  if (isShort) header[1] = 0x80 | content.length;
  else if (content.length < 65_536) {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(content.length, 2);
  } else {
    header[1] = 0x80 | 127;
    header.writeBigUInt64BE(BigInt(content.length), 2);
  }
  return Buffer.concat([header, content]);
}
