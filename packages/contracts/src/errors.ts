/** What a code means to whoever meets it. */
interface ErrorEntry {
  /** For the satellite's user, without detail that would help somebody guess. */
  readonly message: string;
  /** Whether the same message, sent again later, may succeed. After a disconnect: whether to reconnect. */
  readonly retryable: boolean;
  /** What to change, for the satellite's author. */
  readonly remedy: string;
}

/** Every failure that a satellite or a hub's operator can meet. A code is never renamed. */
export const errors = {
  // Saying an event: these come in the receipt, and nobody hears of the event.
  UNKNOWN_EVENT: {
    message: "The contract has no such event.",
    retryable: false,
    remedy: "Check the name against the contract, and that hub and satellite use the same version of it.",
  },
  FORBIDDEN: {
    message: "Your role may not do this.",
    retryable: false,
    remedy:
      "Look at the event's `emit` and `hear`, or at `presence`, in the contract; `own` means a room of your own.",
  },
  DATA_INVALID: {
    message: "The data does not fit the contract.",
    retryable: false,
    remedy: "`issues` lists each place and what was expected there.",
  },
  DATA_TOO_DEEP: {
    message: "The data is nested too deeply.",
    retryable: false,
    remedy: "Flatten it; the hub's `depth` limit says how many levels it takes.",
  },
  DATA_TOO_WIDE: {
    message: "The data has too many values.",
    retryable: false,
    remedy: "Say it as several events; the hub's `eventValues` limit says how many values one takes.",
  },
  KEY_RESERVED: {
    message: "The data has a property name that is not allowed.",
    retryable: false,
    remedy: "Do not use `__proto__`, `prototype` or `constructor` as property names.",
  },
  EVENT_TOO_LARGE: {
    message: "The event is too large.",
    retryable: false,
    remedy: "Send a reference instead of the content; the hub's `eventBytes` limit says what it takes.",
  },
  BATCH_TOO_LARGE: {
    message: "Too many events in one message.",
    retryable: false,
    remedy: "Split it; the hub's `batchEvents` limit says how many it takes.",
  },
  ID_INVALID: {
    message: "The event's id is not usable.",
    retryable: false,
    remedy: "Use 1 to 128 visible ASCII characters, such as a UUID.",
  },
  ID_REUSED: {
    message: "Another event was already said under this id.",
    retryable: false,
    remedy: "Give each fact an id of its own; repeat an id only with the same event and data.",
  },
  MESSAGE_INVALID: {
    message: "The message is not of a form that the hub understands.",
    retryable: false,
    remedy: "See docs/protocol.md for the arguments of each message.",
  },
  HUB_BUSY: {
    message: "The hub has too many events waiting for the disk.",
    retryable: true,
    remedy: "Send the same event with the same id again, later.",
  },
  RATE_LIMITED: {
    message: "That is more than one satellite may say in this time.",
    retryable: true,
    remedy:
      "Send the same again, with the same ids, when `retryAfterMs` is over; the hub's limits say what it takes: `eventsPerSecond`, `requestsPerSecond`, and those of a satellite with all its connections.",
  },
  HUB_CLOSING: {
    message: "The hub is shutting down.",
    retryable: true,
    remedy: "Reconnect, and send the same event with the same id again.",
  },
  LOG_FAILED: {
    message: "The hub could not write the event to disk.",
    retryable: true,
    remedy: "Send the same event with the same id again, later; the hub's own log has the cause.",
  },
  LOG_FULL: {
    message: "The hub has no room left on disk.",
    retryable: true,
    remedy:
      "Send the same event with the same id again, later; the operator makes room, or sets a retention.",
  },
  // Connecting: these, and HUB_CLOSING, come in the HTTP answer to the handshake, as `error` in its JSON; CONNECTIONS_TOO_MANY of
  // one satellite as below.
  CONNECTIONS_TOO_MANY: {
    message: "The hub has as many connections as it takes, in all, from this address or of this satellite.",
    retryable: true,
    remedy:
      "Connect again later; the hub's `connections`, `connectionsPerAddress` and `connectionsPerSatellite` limits say how many it takes.",
  },
  HANDSHAKES_TOO_MANY: {
    message: "Too many connect at once, in all or from this address.",
    retryable: true,
    remedy:
      "Connect again when `retryAfterMs` is over; the hub's `handshakesPerSecond` limits say how many it takes.",
  },
  ORIGIN_FORBIDDEN: {
    message: "Pages of this origin may not connect.",
    retryable: false,
    remedy: "The hub's `origins` lists whose pages may; in open mode those served from loopback may too.",
  },
  OPEN_MODE_NOT_LOOPBACK: {
    message: "Without a key the hub serves this machine only.",
    retryable: false,
    remedy: "Give the hub a key; without one, listen on, and connect to, 127.0.0.1 or ::1.",
  },
  // Connecting: these come as `data` of Socket.IO's `connect_error`.
  UNKNOWN_CONTRACT: {
    message: "There is no contract at this namespace.",
    retryable: false,
    remedy: "Connect to /<name of the contract>, for example /parcels.",
  },
  HANDSHAKE_INVALID: {
    message: "The handshake is not of a form that the hub understands.",
    retryable: false,
    remedy: "`issues` lists what is wrong with `auth`; see docs/protocol.md.",
  },
  ROLE_UNKNOWN: {
    message: "The contract has no such role.",
    retryable: false,
    remedy: "Use one of the contract's `roles`.",
  },
  PROTOCOL_UNSUPPORTED: {
    message: "The hub does not speak this version of the batched wire.",
    retryable: false,
    remedy: "Update the satellite package, or leave `protocol` out to use the plain form.",
  },
  TOKEN_INVALID: {
    message: "The token is not valid here.",
    retryable: false,
    remedy:
      "Get one that is signed by a key of this hub, for this contract, and for a role of it; `npx orrery token` makes one.",
  },
  TOKEN_EXPIRED: {
    message: "The token has run out.",
    retryable: false,
    remedy: "Connect with a new one; on a running connection renew it before it runs out (`hub:renew`).",
  },
  TOKEN_REVOKED: {
    message: "The token was revoked.",
    retryable: false,
    remedy: "Ask whoever issues tokens; one that is issued after the revocation is good again.",
  },
  TOKEN_OF_ANOTHER: {
    message: "The token is another satellite's.",
    retryable: false,
    remedy: "A connection keeps its identity: renew with a token of the same subject, or connect anew.",
  },
  KEYS_UNAVAILABLE: {
    message: "The hub cannot check tokens now.",
    retryable: true,
    remedy: "Try again later; the hub's own log has the cause.",
  },
  // Listening: these come in the reply to `hub:listen`, or refuse a plain client's handshake.
  ROOM_INVALID: {
    message: "A room's name is not usable.",
    retryable: false,
    remedy:
      "Rooms look like `vendor:acme`: a prefix of the contract, a colon, a value; the hub's `roomLength` limit says how long.",
  },
  CURSOR_INVALID: {
    message: "The cursor is not of the form `<epoch>:<offset>`, or beyond the log's end.",
    retryable: false,
    remedy:
      "Use a cursor as the hub gave it; where it did, the log was put back to an older state: begin at `start`.",
  },
  // Following: these come in replies, or as `hub:unfollowed`.
  FOLLOWER_TAKEN_OVER: {
    message: "Another connection follows under this name now.",
    retryable: false,
    remedy: "Use a name once at a time; give copies of a service names of their own, or let them share work.",
  },
  FOLLOWER_UNKNOWN: {
    message: "There is no such follower.",
    retryable: false,
    remedy: "List the followers; a name belongs to the satellite that followed under it.",
  },
  FOLLOWER_AWAY: {
    message: "Nobody follows under this name now.",
    retryable: true,
    remedy: "Start the follower, then redrive.",
  },
  FOLLOWERS_TOO_MANY: {
    message: "This satellite has too many followers.",
    retryable: false,
    remedy: "Forget those that are not used any more; the hub's `followers` limit says how many it keeps.",
  },
  PARKED_TOO_MANY: {
    message: "This satellite has parked too many events.",
    retryable: false,
    remedy:
      "Redrive what it has parked, or forget the follower; the hub's `parkedBytes` limit says how much it keeps.",
  },
  NOT_PARKED: {
    message: "No such event is parked.",
    retryable: false,
    remedy: "List what the follower has parked; it may have been handled in the meantime.",
  },
  // Working: these come in replies, or as `hub:unworked`.
  LEASE_LOST: {
    message: "The claim is not yours any more.",
    retryable: false,
    remedy:
      "Stop working on it: it was, or will be, handed to another member. Renew in time, or ask for a longer lease.",
  },
  GROUP_DIFFERS: {
    message: "The group works other events, or in other rooms.",
    retryable: false,
    remedy: "All members name the same events and rooms; give other work a group of its own.",
  },
  GROUP_UNKNOWN: {
    message: "There is no such group.",
    retryable: false,
    remedy: "List the groups; a group belongs to the role whose satellites work in it.",
  },
  GROUPS_TOO_MANY: {
    message: "The hub has too many groups, in all or of this satellite.",
    retryable: false,
    remedy:
      "Use a fixed set of names; the hub's `groups` and `groupsPerSatellite` limits say how many it keeps.",
  },
  NOT_DEAD: {
    message: "No such event is dead.",
    retryable: false,
    remedy: "List the group's dead events; somebody may have redriven it in the meantime.",
  },
  // Asking: these come in the reply to `hub:ask`, or, of one satellite among several, in its `silent`.
  IS_A_QUESTION: {
    message: "The event is a question: it is asked and answered.",
    retryable: false,
    remedy: "Use `ask` and `answer`; on the wire `hub:ask` and `hub:answer`.",
  },
  NOT_A_QUESTION: {
    message: "The event is no question: it has no reply.",
    retryable: false,
    remedy: "Emit it, or give it a `reply` in the contract.",
  },
  NOBODY_THERE: {
    message: "Nobody is connected there that answers this question, or not any more.",
    retryable: true,
    remedy: "Ask again when it is back. One that was lost while it was asked may have acted on the question.",
  },
  ANSWER_FAILED: {
    message: "The satellite could not answer.",
    retryable: false,
    remedy: "The message is the answering satellite's own; more is in its log.",
  },
  ANSWER_INVALID: {
    message: "The answer does not fit the contract.",
    retryable: false,
    remedy: "`issues` lists each place and what was expected there; the answering satellite has to mend it.",
  },
  ANSWERS_TOO_LARGE: {
    message: "The answers together are too large.",
    retryable: false,
    remedy:
      "Ask fewer satellites or questions at once; the hub's `messageBytes` limit says what all answers to one question may take, `unsentBytes` what those to all of yours.",
  },
  QUESTIONS_TOO_MANY: {
    message: "Too many of your questions are open.",
    retryable: true,
    remedy: "Wait for answers before you ask more; the hub's `openQuestions` limit says how many it keeps.",
  },
  ANSWERER_BUSY: {
    message: "The satellite has too many questions to answer, or does not read them.",
    retryable: true,
    remedy: "Ask again, later; the hub's `openAnswers` limit says how many may wait for one satellite.",
  },
  // A running connection: these come as `hub:close` just before the disconnect.
  PACKET_INVALID: {
    message: "The connection carried something that is no Socket.IO packet.",
    retryable: false,
    remedy: "Use a Socket.IO v3 or v4 client and no reserved event names.",
  },
  BINARY_REFUSED: {
    message: "The hub takes plain JSON only, no binary attachments.",
    retryable: false,
    remedy: "Encode binary data as text, or send a reference to it.",
  },
  // Raised by the satellite package itself. The hub says TIMEOUT too, of who was asked and did not answer in time.
  OUTBOX_FULL: {
    message: "Too many events are waiting for the hub.",
    retryable: true,
    remedy: "Wait for receipts before emitting more, or raise `outboxEvents`.",
  },
  OUTBOX_LOCKED: {
    message: "Another satellite uses this outbox.",
    retryable: true,
    remedy: "Give each satellite an outbox file of its own.",
  },
  TOKEN_UNAVAILABLE: {
    message: "There is no token that the hub takes.",
    retryable: true,
    remedy: "The cause says why; the token function is asked again, later each time.",
  },
  TIMEOUT: {
    message: "There was no answer in time. What was said or asked may have happened all the same.",
    retryable: true,
    remedy:
      "Emit it again with the same id: a repeat makes no second event. A question is asked a second time.",
  },
  CONNECTION_LOST: {
    message: "The connection was lost before the answer came.",
    retryable: true,
    remedy: "Ask again. The question may have been answered, and acted on, all the same.",
  },
  CLOSED: {
    message: "This satellite was closed.",
    retryable: false,
    remedy: "Connect a new one. What had no receipt yet may have happened all the same.",
  },
  // Met by whoever starts a hub.
  CONTRACT_INVALID: {
    message: "The contract is not usable.",
    retryable: false,
    remedy: "The detail names the event and what is wrong with it.",
  },
  CONFIG_INVALID: {
    message: "The configuration is not usable.",
    retryable: false,
    remedy: "The detail lists every fault.",
  },
  LOG_LOCKED: {
    message: "Another process holds this log.",
    retryable: true,
    remedy: "Stop the other hub, or give this one a directory of its own.",
  },
  LOG_NEWER: {
    message: "A newer version of Orrery wrote this log.",
    retryable: false,
    remedy: "Start that version, or another directory.",
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errors;

/** One thing wrong with a message: where, and what was expected. */
export interface Issue {
  /** Property names and indices from the outside in, joined by dots; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

/** A failure as it crosses the wire. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly issues?: readonly Issue[];
  /** Sent again before that, it is refused again. Milliseconds. */
  readonly retryAfterMs?: number;
}

export interface ErrorOptions {
  readonly issues?: readonly Issue[];
  readonly retryAfterMs?: number;
  /** For this side's log only; never crosses the wire. */
  readonly detail?: string;
  readonly cause?: unknown;
}

/** A failure with a code of the table. Match `code`, never the text. */
export class OrreryError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly issues?: readonly Issue[];
  /** Sent again before that, it is refused again. Milliseconds. */
  readonly retryAfterMs?: number;

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    const { message, retryable } = errors[code];
    super(options.detail === undefined ? message : `${message} ${options.detail}`, { cause: options.cause });
    this.name = "OrreryError";
    this.code = code;
    this.retryable = retryable;
    if (options.issues !== undefined) this.issues = options.issues;
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }

  /** As the other side of the wire sent it. A code of a newer version than this one is kept as it is. */
  static from(body: ErrorBody): OrreryError {
    const { code, message, retryable, issues, retryAfterMs } = body;
    const known = Object.hasOwn(errors, code);
    const error = new OrreryError(known ? code : "MESSAGE_INVALID", {
      ...(issues !== undefined && { issues }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
    return Object.assign(error, { code, message, retryable });
  }
}

/** The wire's form of a failure: the table's text, without this side's detail. */
export function errorBody(code: ErrorCode, issues?: readonly Issue[], retryAfterMs?: number): ErrorBody {
  const { message, retryable } = errors[code];
  return {
    code,
    message,
    retryable,
    ...(issues !== undefined && { issues }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}
