// The messages between hub and satellite. docs/protocol.md says the same for other languages.
import type { Contract, DataIn, DataOut, EventName, Keep, KeepOf } from "./contract.ts";
import type { ErrorBody } from "./errors.ts";
import type { Identity } from "./rules.ts";

/** The batched form of the wire. A handshake without `protocol` gets the plain form. */
export const protocolVersion = 1;

/** What the hub knows of an event; names after CloudEvents 1.0. */
export interface Meta {
  /** Given by the one who said it, or by the hub. Unique for as long as the event is kept. */
  readonly id: string;
  /** Who said it: `vendor:acme`. */
  readonly source: string;
  /** The event's name. */
  readonly type: string;
  /** When the hub took it in: RFC 3339 in UTC, to the millisecond. */
  readonly time: string;
  /** The value of the event's key. */
  readonly subject?: string;
  /** Its place in the log; missing for events that are not kept. */
  readonly offset?: number;
}

/** A place in one log's history: `"<epoch>:<offset>"`. Everything up to and including the offset has been seen. */
export type Cursor = `${string}:${number}`;

export interface EmitOptions {
  /** 1 to 128 visible ASCII characters. A repeat of the same event with the same id happens once. */
  readonly id?: string;
}

/** The hub's answer to an event that it took: for a kept event this means that it is on disk. */
export interface Accepted<Offset extends number | null = number | null> {
  readonly ok: true;
  readonly id: string;
  /** Place in the log; null for events that are not kept. */
  readonly offset: Offset;
  /** The event had been said before under this id; the offset is that of the first. */
  readonly duplicate?: true;
}

/** The hub's answer to an event that it refused; nobody hears of it. */
export interface Refused {
  readonly ok: false;
  readonly error: ErrorBody;
}

export type Receipt = Accepted | Refused;

/** What `emit` resolves with: kept events have an offset, the others none. */
export type ReceiptOf<K extends Keep> = Accepted<K extends "none" ? null : number>;

export type Ack<Reply> = (reply: Reply) => void;

/** One event in a `hub:emit`: name, data, options. */
export type EmitEntry = readonly [event: string, data: unknown, options?: EmitOptions];
export type EmitReply = { readonly ok: true; readonly receipts: readonly Receipt[] } | Refused;

/** Sets what the satellite hears from now on; it replaces what was set before. */
export interface ListenRequest {
  readonly events: readonly string[];
  /** Only events in one of these rooms; missing: all that the role may hear. */
  readonly rooms?: readonly string[];
  /** Hear first what was kept after this cursor, then live; `"start"`: all that is kept. Missing: from now on. */
  readonly after?: Cursor | "start";
}

/**
 * `gap`: the cursor was of another history of the log, so what lies between cannot be told; listening begins at the
 * start of this one.
 */
export type ListenReply =
  | { readonly ok: true; readonly cursor: Cursor; readonly gap?: { readonly reason: "epoch" } }
  | Refused;

/** One event in a `hub:events`: name, data, meta. */
export type HeardEntry = readonly [event: string, data: unknown, meta: Meta];

/** The first message on a batched connection. */
export interface Welcome {
  readonly contract: { readonly name: string; readonly version: string };
  readonly satellite: Identity;
  /** The newest event that was kept when the satellite connected. */
  readonly cursor: Cursor;
  readonly limits: WireLimits;
}

/** What the hub takes in one message. Sizes are bytes of UTF-8 JSON. */
export interface WireLimits {
  /** One event's data. */
  readonly eventBytes: number;
  /** Events in one `hub:emit`. */
  readonly batchEvents: number;
  /** One message as a whole. */
  readonly messageBytes: number;
}

/** What a satellite hears, for Socket.IO's generics: `Socket<ServerToClientEvents<typeof parcels>, …>` in a client. */
export type ServerToClientEvents<C extends Contract = Contract> = {
  [N in EventName<C>]: (data: DataOut<C, N>, meta: Meta) => void;
} & {
  "hub:welcome": (welcome: Welcome) => void;
  /** `ack` is there while catching up: the next page comes when this one was answered. */
  "hub:events": (events: readonly HeardEntry[], ack?: Ack<null>) => void;
  "hub:close": (error: ErrorBody) => void;
};

type ReceiptAck<C extends Contract, N extends EventName<C>> = Ack<ReceiptOf<KeepOf<C, N>> | Refused>;

/** What a satellite says, for Socket.IO's generics. */
export type ClientToServerEvents<C extends Contract = Contract> = {
  [N in EventName<C>]: (
    data: DataIn<C, N>,
    optionsOrAck?: EmitOptions | ReceiptAck<C, N>,
    ack?: ReceiptAck<C, N>,
  ) => void;
} & {
  "hub:emit": (entries: readonly EmitEntry[], ack: Ack<EmitReply>) => void;
  "hub:listen": (request: ListenRequest, ack: Ack<ListenReply>) => void;
};
