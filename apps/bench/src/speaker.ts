import { EventEmitter } from "node:events";
import { type Identity, uuidv7Source } from "@orrery/contracts";
import type { Parcel } from "@orrery/contracts/parcels";
import { type HubSocket, pieceBytes, type Session } from "./hub-inside.ts";

/** What a satellite says in one message. */
export interface Message {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly events: readonly Parcel[];
  /** Of the events, as text. */
  readonly dataBytes: number;
  /** As Engine.IO hands it on. */
  readonly packet: { readonly type: "message"; readonly data: string };
  /** All that the system has read with it; undefined: it came with the one before. */
  readonly read: Buffer | undefined;
}

const nextId = uuidv7Source();

/** Messages that come with one read of the system, each with its events: one in the plain form, more in the batched one. */
export function readOf(contents: readonly (readonly Parcel[])[]): readonly Message[] {
  const messages = contents.map(messageOf);
  const read = Buffer.from(messages.map(({ packet }) => packet.data).join(""));
  return messages.map((message, place) => (place === 0 ? { ...message, read } : message));
}

function messageOf(events: readonly Parcel[]): Message {
  const entries = events.map((parcel) => ["pickup", parcel, { id: nextId() }]);
  const [name, args] = events.length === 1 ? ["pickup", events] : ["hub:emit", [entries]];
  const data = `2/parcels,17${JSON.stringify([name, ...args])}`;
  const dataBytes = JSON.stringify(events).length;
  return { name, args, events, dataBytes, packet: { type: "message", data }, read: undefined };
}

/** A satellite that says things, its connection as far as the hub's guards look into it. */
export class Speaker {
  readonly socket: HubSocket;
  readonly #webSocket = new WebSocketDouble();

  constructor(identity: Identity, session: Session) {
    const conn = Object.assign(new EventEmitter(), {
      readyState: "open",
      transport: { name: "websocket", socket: this.#webSocket },
      writeBuffer: [{ type: "message", data: '3/parcels,17[{"ok":true}]' }], // a receipt that is on its way
    });
    this.socket = { conn, nsp: { name: "/parcels" }, data: { identity, session } } as never;
  }

  /** Whether the hub takes nothing from it at the moment. */
  get isHeldBack(): boolean {
    return this.#webSocket.isPaused;
  }

  /** Its connection is gone. */
  leave(): void {
    Object.assign(this.socket.conn, { readyState: "closed" });
    this.socket.conn.emit("close", "transport close");
  }

  /** The message arrives, up to where the hub looks into it. */
  say({ read, packet }: Message): void {
    for (let at = 0; read !== undefined && at < read.length; at += pieceBytes) {
      this.#webSocket._receiver.write(read.subarray(at, at + pieceBytes));
    }
    this.socket.conn.emit("packet", packet as never);
  }
}

class WebSocketDouble extends EventEmitter {
  readonly OPEN = 1;
  readonly readyState = 1;
  isPaused = false;
  readonly _socket = new EventEmitter();
  readonly _receiver = { writable: true, write: (_bytes: Buffer) => true };

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }
}
