import { OrreryError, type WireLimits } from "@orrery/contracts";

/** Every bound of a hub, with its unit. What exceeds one gets an error that names it; nothing is cut or dropped. */
export interface Limits extends WireLimits {
  /** Levels of objects and arrays in an event's data. */
  readonly depth: number;
  /** Data of events that wait for the disk, over all satellites; past it, `HUB_BUSY`. Bytes. */
  readonly queueBytes: number;
  /**
   * How long all that a connection says in the batched form is refused after something of it was refused for now, unless
   * that comes again before. Milliseconds.
   */
  readonly resendMs: number;
  /** Events in one commit; more wait for the next one. */
  readonly commitEvents: number;
  /** Recent events held in memory, from which a satellite that has almost caught up joins. Bytes of text. */
  readonly tailBytes: number;
  /** Rooms in one `hub:listen` or handshake. */
  readonly listenRooms: number;
  /** Names under which one satellite follows. */
  readonly followers: number;
  /** Work groups of one contract. */
  readonly groups: number;
  /** Events that wait in one group before it looks at no more of the log. */
  readonly groupWaiting: number;
  /** Dead events of one group before it looks at no more of the log: nothing is lost, but somebody has to look after them. */
  readonly groupDead: number;
  /** How long after its connection is gone a satellite keeps its claims. Milliseconds. */
  readonly graceMs: number;
  /** How long after its last connection is gone a satellite counts as connected. Milliseconds. */
  readonly presenceGraceMs: number;
  /** Questions of one connection that wait for answers; past it, `QUESTIONS_TOO_MANY`. */
  readonly openQuestions: number;
  /** Questions that wait for one connection's answers; past it, `ANSWERER_BUSY`. */
  readonly openAnswers: number;
  /**
   * Text that waits for one connection; past it the connection leaves live delivery, is served from the log when it has read
   * what waits, and is not listened to until then. Bytes.
   */
  readonly unsentBytes: number;
  /** Between two looks at what is unsent. Milliseconds. */
  readonly unsentCheckMs: number;
  /** Between two words to live listeners on how far they are, so that they need not read the same again. Milliseconds. */
  readonly reachedMs: number;
  /** From the connection to the first valid handshake. Milliseconds. */
  readonly connectTimeoutMs: number;
  /** Between two pings. A peer that is gone without a word is noticed after this and `pingTimeoutMs`. Milliseconds. */
  readonly pingIntervalMs: number;
  /** From a ping to its answer. Milliseconds. */
  readonly pingTimeoutMs: number;
  /** A token; a longer one is `TOKEN_INVALID`, unread. Bytes. */
  readonly tokenBytes: number;
  /** How long a connection goes on after its token has run out, unless it renews it. Milliseconds. */
  readonly tokenGraceMs: number;
  /** Between two looks for connections whose token has run out. Milliseconds. */
  readonly sessionCheckMs: number;
  /** How long a closing hub waits for satellites to read what it still has for them. Milliseconds. */
  readonly closeMs: number;
}

export const defaultLimits: Limits = {
  eventBytes: 131_072, // what a browser handles in a frame; larger content belongs in a store, with a reference
  batchEvents: 1_000, // one packet of the satellite package carries 256 at most
  messageBytes: 1_048_576, // Engine.IO's own default, enforced by it before anything is parsed
  depth: 32, // far deeper than people nest, far shallower than a stack
  queueBytes: 67_108_864, // a second of the fastest log's work, several times over
  resendMs: 2_000, // what was on its way is here by then, over a bad network too; the satellite package resends after 500
  commitEvents: 4_096, // larger commits gain nothing and hold up the first receipt
  tailBytes: 524_288, // some 1,000 events: more than arrive while one page is read
  listenRooms: 100,
  followers: 100,
  groups: 1_000,
  groupWaiting: 10_000, // behind keys that are worked on, or that wait for their next attempt; some 2 MB
  groupDead: 100_000, // some 50 MB; so many are no accident of single events
  graceMs: 5_000, // a satellite reconnects after 0.1 to 2 s
  presenceGraceMs: 3_000, // a satellite reconnects after 0.1 to 2 s, and needs some round trips then
  openQuestions: 256, // answered in 10 ms each these are 25,000 a second; an open one holds some hundred bytes
  openAnswers: 256, // more only wait for each other
  unsentBytes: 1_048_576, // a page of catch-up and more; a healthy connection holds a few packets
  unsentCheckMs: 100, // at 25 MB/s of events two and a half megabytes, shared by all connections of an audience
  reachedMs: 10_000, // 1,395 vendors that came back had made the hub read the whole log for each: 13 s of CPU
  connectTimeoutMs: 10_000,
  pingIntervalMs: 25_000, // Socket.IO's default
  pingTimeoutMs: 20_000, // Socket.IO's default
  tokenBytes: 8_192, // what an HTTP server takes for all headers together; a token with a few claims has some 300
  tokenGraceMs: 30_000, // a restart of whoever issues tokens, and a few tries to reach it
  sessionCheckMs: 250, // 10,000 connections are some 40,000 comparisons a second
  closeMs: 1_000, // within the 4 seconds that a process has to end
};

/** Fills in the defaults. Anything but a whole number above zero is `CONFIG_INVALID`. */
export function limitsFrom(changes: Partial<Limits> = {}): Limits {
  const faults = Object.entries(changes).filter(
    ([name, value]) => !Object.hasOwn(defaultLimits, name) || !Number.isSafeInteger(value) || value < 1,
  );
  if (faults.length > 0) {
    const detail = faults.map(([name, value]) => `limit ${name}: ${value}`).join("; ");
    throw new OrreryError("CONFIG_INVALID", { detail });
  }
  return { ...defaultLimits, ...changes };
}
