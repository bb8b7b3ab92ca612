// The messages between hub and satellite. docs/protocol.md says the same for other languages.
import type { Contract, DataIn, DataOut, EventName, Keep, KeepOf } from "./contract.ts";
import type { ErrorBody } from "./errors.ts";
import type { PresenceMessage, WhoReply, WhoRequest } from "./presence.ts";
import type { Identity } from "./rules.ts";

/** The batched form of the wire. A handshake without `protocol` gets the plain form. */
export const protocolVersion = 1;

/** What the hub knows of an event; names after CloudEvents 1.0. */
export interface Meta {
  /**
   * Given by the one who said it, or by the hub. For as long as the event is kept, unique among what its `source` says or, where it
   * was said under a claim, among what comes of that event.
   */
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
  /** The id of the event that it came from: of the claim that it was said under. */
  readonly causationId?: string;
  /** For a handler of `follow` or `work`: how often the event was handed out; 1 is the first time. */
  readonly attempt?: number;
}

/** A place in one log's history: `"<epoch>:<offset>"`. Everything up to and including the offset has been seen. */
export type Cursor = `${string}:${number}`;

export interface EmitOptions {
  /** 1 to 128 visible ASCII characters, the satellite's own. A repeat of the same event with the same id happens once. */
  readonly id?: string;
}

/** `EmitOptions` in a `hub:emit`. */
export interface EntryOptions extends EmitOptions {
  /** Said while working on this: refused with `LEASE_LOST` where it is not the satellite's any more. */
  readonly claim?: ClaimRef;
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
export type EmitEntry = readonly [event: string, data: unknown, options?: EntryOptions];
export type EmitReply = { readonly ok: true; readonly receipts: readonly Receipt[] } | Refused;

/** Sets what the satellite hears from now on; it replaces what was set before. */
export interface ListenRequest {
  readonly events: readonly string[];
  /** Only events in one of these rooms; missing: all that the role may hear. */
  readonly rooms?: readonly string[];
  /** Hear first what was kept after this cursor, then live; `"start"`: all that is kept. Missing: from now on. */
  readonly after?: Cursor | "start";
  /**
   * Of these events, where only the latest are kept, hear first the last value per key, as `hub:latest`. Default: with
   * `after` none; without it all that the satellite did not listen to before.
   */
  readonly fresh?: readonly string[];
}

export type ListenReply = { readonly ok: true; readonly cursor: Cursor } | Refused;

/** Nothing can be told of the events after `after`, up to and including `until`. */
export interface Gap {
  /** `epoch`: `after` is a cursor of another log. `retention`: the hub does not keep them any more. */
  readonly reason: "epoch" | "retention";
  readonly after: Cursor;
  readonly until: Cursor;
  /** The follower, or the group, that it concerns; both missing where it concerns listening. */
  readonly as?: string;
  readonly group?: string;
}

/** Follows events under a name whose cursor the hub keeps. */
export interface FollowRequest {
  /** `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, one of the satellite's own: others may use the same. */
  readonly as: string;
  readonly events: readonly string[];
  readonly rooms?: readonly string[];
  /** Where a new name begins: an RFC 3339 time, a cursor, all that is kept, or, by default, from now on. */
  readonly from?: "start" | "now" | Cursor | { readonly time: string };
}

/** `cursor`: everything up to it was handled; deliveries begin after it. */
export type FollowReply = { readonly ok: true; readonly cursor: Cursor } | Refused;

/** Events for a follower, in order; the answer moves its cursor. */
export interface Delivery {
  readonly as: string;
  readonly events: readonly HeardEntry[];
}

/** The answer to a `hub:deliver`: all of its events are handled, or, where they are listed, parked. */
export interface DeliveryReply {
  readonly parked?: readonly { readonly offset: number; readonly attempts: number; readonly error: string }[];
}

/** How a follower stands. */
export interface FollowerStatus {
  readonly as: string;
  readonly cursor: Cursor;
  /** How many places of the log its cursor is behind the newest. */
  readonly lag: number;
  readonly isConnected: boolean;
  readonly parked: number;
}

/** An event that a follower's handler failed on for good. */
export interface Parked {
  readonly offset: number;
  readonly attempts: number;
  /** What the handler said last. */
  readonly error: string;
  /** When it was parked: RFC 3339 in UTC. */
  readonly time: string;
  /** The event as it was delivered; null where retention had taken it. */
  readonly event: HeardEntry | null;
}

export type FollowersReply = { readonly ok: true; readonly followers: readonly FollowerStatus[] } | Refused;
export type ParkedReply = { readonly ok: true; readonly parked: readonly Parked[] } | Refused;
export type DoneReply = { readonly ok: true } | Refused;
/** `expires`: when the connection's token runs out from now on, RFC 3339 in UTC. */
export type RenewReply = { readonly ok: true; readonly expires: string } | Refused;

/**
 * Shares work with all satellites of its role that name the same group, or, said again on the same connection, changes the
 * capacity. All of them name the same events and rooms.
 */
export interface WorkRequest {
  /** `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`. */
  readonly group: string;
  readonly events: readonly string[];
  readonly rooms?: readonly string[];
  /** Where a new group begins: an RFC 3339 time, a cursor, all that is kept, or, by default, from now on. */
  readonly from?: "start" | "now" | Cursor | { readonly time: string };
  /** Claims that the satellite can hold at once, 0 to 10_000; 0: hand out nothing more. */
  readonly capacity: number;
  /** How long a claim lasts that is not renewed. Milliseconds, 100 to 600_000, default 30_000. */
  readonly leaseMs?: number;
  /** Hand-overs of one event before it is dead, 1 to 1_000, default 5. */
  readonly attempts?: number;
  /** Before the second attempt, twice as long before each further one. Milliseconds, 0 to 60_000, default 1_000. */
  readonly backoffMs?: number;
  /** After a reconnect: what the satellite is still working on. */
  readonly held?: readonly ClaimToken[];
}

/** One hand-over of an event of the group at hand. */
export interface ClaimToken {
  readonly offset: number;
  /** Grows with each hand-over in the group. */
  readonly token: number;
}

/** The same, wherever the group has to be said too. */
export interface ClaimRef extends ClaimToken {
  readonly group: string;
}

/** `lost`: offsets of `held` that are not the satellite's any more. */
export interface WorkStarted {
  readonly ok: true;
  /** Everything up to it was looked at for the group. */
  readonly cursor: Cursor;
  readonly leaseMs: number;
  /** How long after its connection is gone a satellite keeps its claims. Milliseconds. */
  readonly graceMs: number;
  readonly lost: readonly number[];
}
export type WorkReply = WorkStarted | Refused;

export interface Claim extends ClaimToken {
  /** Its meta has the `attempt`. */
  readonly event: HeardEntry;
  readonly leaseMs: number;
  /** Offsets of earlier events of the same key that are dead. */
  readonly deadBefore?: readonly number[];
}

/** How an attempt ended. `retry`: again, later. `dead`: never again. `back`: not mine, for somebody else, at no cost. */
export type Outcome = "done" | "retry" | "dead" | "back";

export interface Settle extends ClaimToken {
  readonly outcome: Outcome;
  /** Why, for people; up to 1_000 characters are kept. */
  readonly error?: string;
  /** With `done`: what comes of it, said in the same commit. */
  readonly events?: readonly EmitEntry[];
}

/** `receipts`: of the `events`, in their places. A refusal: nothing happened, and unless it is `LEASE_LOST` the claim is still held. */
export type SettledReply = { readonly ok: true; readonly receipts: readonly Accepted[] } | Refused;
export type SettleReply = { readonly ok: true; readonly replies: readonly SettledReply[] } | Refused;
export type HoldReply = { readonly ok: true; readonly lost: readonly number[] } | Refused;

/** How a group stands. */
export interface GroupStatus {
  readonly group: string;
  readonly events: readonly string[];
  /** It has looked at everything up to there. */
  readonly cursor: Cursor;
  /** How many places of the log come after that. Where it has passed over a key of which too many wait, it has looked at others of them. */
  readonly lag: number;
  /** Events that were looked at and wait: for a member with room, for another one of their key, or for their next attempt. */
  readonly waiting: number;
  readonly held: number;
  readonly dead: number;
  readonly members: readonly {
    readonly satellite: string;
    readonly capacity: number;
    readonly held: number;
  }[];
}

/** An event that a group has given up. */
export interface DeadEvent {
  readonly offset: number;
  /** `attempts`: there were too many. `refused`: a handler said so. */
  readonly reason: "attempts" | "refused";
  readonly attempts: number;
  /** What ended the last attempt. */
  readonly error: string;
  /** Who had it last: `driver:d1`. */
  readonly by: string;
  /** Since when: RFC 3339 in UTC. */
  readonly time: string;
  /** The event as it was handed out; null where retention has taken it. */
  readonly event: HeardEntry | null;
}

/** Who is asked: one satellite by its name, as in `meta.source`. */
export interface ToSatellite {
  /** `driver:d1`. Of several connections under the name, the one is asked that was the last to say that it answers. */
  readonly satellite: string;
  readonly role?: never;
  readonly room?: never;
}

/** Who is asked: all satellites of a role, or in a room, that answer the question. */
export type ToMany<Role extends string = string> =
  | { readonly role: Role; readonly satellite?: never; readonly room?: never }
  /** `city:recife`: those whose own room it is, and those that have named it in `hub:answer`. */
  | { readonly room: string; readonly satellite?: never; readonly role?: never };

export interface AskRequest {
  readonly event: string;
  readonly data: unknown;
  readonly to: ToSatellite | ToMany;
  /** How long answers may take, seen from the hub. Milliseconds, 1 to 60_000, default 5_000. */
  readonly timeoutMs?: number;
}

/** What was answered, as answers came, and who did not answer, and why. To one satellite: its answer, or `Refused`. */
export type AskReply =
  | {
      readonly ok: true;
      readonly answers: readonly { readonly from: string; readonly data: unknown }[];
      readonly silent: readonly { readonly from: string; readonly error: ErrorBody }[];
    }
  | Refused;

/** The connection answers a question from now on. Said again it replaces the rooms. */
export interface AnswerRequest {
  readonly event: string;
  /** Besides the satellite's own rooms, those in which it is asked. */
  readonly rooms?: readonly string[];
}

/** What a satellite answers to a `hub:asked`, by the id in its meta; `error`: why it cannot. */
export type QuestionReply =
  | { readonly id: string; readonly data: unknown }
  | { readonly id: string; readonly error: string };

/** What happened to a key: events that were said, and what groups made of them. */
export type HistoryEntry =
  | { readonly kind: "event"; readonly event: HeardEntry }
  | {
      readonly kind: "attempt";
      readonly group: string;
      /** The event that was worked on. */
      readonly offset: number;
      readonly attempt: number;
      readonly by: string;
      /** When it ended; where it is held, until when, if it is not renewed. */
      readonly time: string;
      /** `held`: it runs now. `expired`, `gone`: the lease ran out, or the connection was lost. */
      readonly outcome: Outcome | "held" | "expired" | "gone" | "redriven" | "dropped";
      readonly error?: string;
    }
  | { readonly kind: "waiting"; readonly group: string; readonly offset: number; readonly dueTime?: string };

export type GroupsReply = { readonly ok: true; readonly groups: readonly GroupStatus[] } | Refused;
export type DeadReply = { readonly ok: true; readonly dead: readonly DeadEvent[] } | Refused;
/** `next`: there is more; it is told `after` that. */
export type HistoryReply =
  | { readonly ok: true; readonly entries: readonly HistoryEntry[]; readonly next?: string }
  | Refused;

/** One event in a `hub:events`, or a question: name, data, meta. */
export type HeardEntry = readonly [event: string, data: unknown, meta: Meta];

/** The first message on a batched connection. */
export interface Welcome {
  readonly contract: { readonly name: string; readonly version: string };
  readonly satellite: Identity;
  /** The newest event that was kept when the satellite connected. */
  readonly cursor: Cursor;
  readonly limits: WireLimits;
  /** When the connection's token runs out, RFC 3339 in UTC; missing in open mode. */
  readonly expires?: string;
}

/** What the hub takes in one message. Sizes are bytes of UTF-8 JSON. */
export interface WireLimits {
  /** One event's data. */
  readonly eventBytes: number;
  /** Events in one `hub:emit`; settles, and events of these, in one `hub:settle`. */
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
  /**
   * The last values per key of events that the satellite begins to listen to; live ones come after them. Each has an `ack`, and
   * nothing else is heard before it is answered. An empty one, without `ack`, says that these were all: until it has come, list
   * the events in `fresh` again.
   */
  "hub:latest": (events: readonly HeardEntry[], ack?: Ack<null>) => void;
  /** Now and then, to a live listener: it has been sent all that it wants up to this offset, heard or not. */
  "hub:reached": (offset: number) => void;
  "hub:gap": (gap: Gap) => void;
  "hub:deliver": (delivery: Delivery, ack: Ack<DeliveryReply>) => void;
  /** The hub has ended the follower on this connection, for example because another one took it over. */
  "hub:unfollowed": (ended: { readonly as: string; readonly error: ErrorBody }) => void;
  /** Claims for a member of a group; their leases run already. */
  "hub:claims": (handedOver: { readonly group: string; readonly claims: readonly Claim[] }) => void;
  /** Claims that are not the satellite's any more. */
  "hub:lost": (lost: { readonly group: string; readonly offsets: readonly number[] }) => void;
  /** The hub has ended the membership. */
  "hub:unworked": (ended: { readonly group: string; readonly error: ErrorBody }) => void;
  /** A question; it is answered with `hub:reply`, on the same connection. */
  "hub:asked": (question: HeardEntry) => void;
  /** Who came and who went, to those who have asked for it with `hub:who`. */
  "hub:presence": (message: PresenceMessage) => void;
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
  /** The connection goes on with this token, which is of the same satellite. In the plain form too. */
  "hub:renew": (request: { readonly token: string }, ack: Ack<RenewReply>) => void;
  "hub:follow": (request: FollowRequest, ack: Ack<FollowReply>) => void;
  "hub:unfollow": (request: { readonly as: string }, ack: Ack<DoneReply>) => void;
  /** The satellite's own followers, and how they stand. */
  "hub:followers": (request: Record<never, never>, ack: Ack<FollowersReply>) => void;
  /** A follower, or a group: all that the hub keeps of it is gone, and who follows or works there is told. */
  "hub:forget": (request: { readonly as: string } | { readonly group: string }, ack: Ack<DoneReply>) => void;
  /** `after`: an offset; default 0. */
  "hub:parked": (request: { readonly as: string; readonly after?: number }, ack: Ack<ParkedReply>) => void;
  /**
   * A follower: delivers a parked event once more; it stays parked until it is handled. A group: gives a dead event a new
   * life, once.
   */
  "hub:redrive": (
    request: ({ readonly as: string } | { readonly group: string }) & { readonly offset: number },
    ack: Ack<DoneReply>,
  ) => void;
  "hub:work": (request: WorkRequest, ack: Ack<WorkReply>) => void;
  /** Renews leases, from now on. */
  "hub:hold": (
    request: { readonly group: string; readonly claims: readonly ClaimToken[] },
    ack: Ack<HoldReply>,
  ) => void;
  /** What is answered is on disk. */
  "hub:settle": (
    request: { readonly group: string; readonly settles: readonly Settle[] },
    ack: Ack<SettleReply>,
  ) => void;
  /** The groups of the satellite's role. */
  "hub:groups": (request: Record<never, never>, ack: Ack<GroupsReply>) => void;
  /** `after`: an offset; default 0. */
  "hub:dead": (request: { readonly group: string; readonly after?: number }, ack: Ack<DeadReply>) => void;
  /** Removes a dead event for good. */
  "hub:drop": (request: { readonly group: string; readonly offset: number }, ack: Ack<DoneReply>) => void;
  /** What happened to a key, as far as the role may hear its events. `after`: the `next` of an answer. */
  "hub:history": (request: { readonly key: string; readonly after?: string }, ack: Ack<HistoryReply>) => void;
  /** Answered when all who were asked have answered, are gone, or had their time. */
  "hub:ask": (request: AskRequest, ack: Ack<AskReply>) => void;
  "hub:answer": (request: AnswerRequest, ack: Ack<DoneReply>) => void;
  "hub:unanswer": (request: { readonly event: string }, ack: Ack<DoneReply>) => void;
  /** Refused with `ANSWER_INVALID` where it does not fit the contract. One for which nobody waits any more is ignored. */
  "hub:reply": (reply: QuestionReply, ack: Ack<DoneReply>) => void;
  /** Who is connected. In both forms of the wire; `FORBIDDEN` where the contract's `presence` does not name the role. */
  "hub:who": (request: WhoRequest, ack: Ack<WhoReply>) => void;
  /** Ends what `hub:who` with `watch` has begun. */
  "hub:unwatch": (request: Record<never, never>, ack: Ack<DoneReply>) => void;
};
