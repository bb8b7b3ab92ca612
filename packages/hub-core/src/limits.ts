import { OrreryError, type WireLimits } from "@orrery/contracts";

/**
 * Every bound of a hub, with its unit. What exceeds one is refused with a code, has to wait, or ends the connection;
 * docs/protocol.md says which. Nothing is cut, and nothing that is kept is lost by it.
 */
export interface Limits extends WireLimits {
  /** Frames that one WebSocket message may come in; what comes in more ends the connection. */
  readonly messageFragments: number;
  /** Reads that one frame of it may come in; what comes in more ends the connection. */
  readonly messageReads: number;
  /** Levels of objects and arrays in an event's data. */
  readonly depth: number;
  /**
   * Values in an event's data, objects and arrays among them. Where events of one message do not fit, and have more than that together,
   * the rest of it is `RATE_LIMITED`.
   */
  readonly eventValues: number;
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
  /**
   * What one connection may say: events and questions, each counts one, however they come, and a refusal a quarter. Past it,
   * `RATE_LIMITED` with the time to wait. Of messages of any kind, acks and pings too, it may bring twice as many; past that nothing
   * is taken from it for a moment. Per second.
   */
  readonly eventsPerSecond: number;
  /** So many of them at once, after a rest. */
  readonly eventsAtOnce: number;
  /** The same for all connections of one satellite together, and at once as many as one connection. Per second. */
  readonly eventsPerSecondPerSatellite: number;
  /**
   * What one connection may ask of the hub itself: to listen, to follow, to work, to be told, each message counts one, and
   * each namespace that is joined. Past it, `RATE_LIMITED` with the time to wait. Per second.
   */
  readonly requestsPerSecond: number;
  /** So many of them at once, after a rest. */
  readonly requestsAtOnce: number;
  /** The same for all connections of one satellite together, and at once as many as one connection. Per second. */
  readonly requestsPerSecondPerSatellite: number;
  /**
   * How far beyond its rate a connection may go on although it is refused: so many events, and a tenth of that in requests. Past
   * it nothing is taken from it until that is worked off.
   */
  readonly debtEvents: number;
  /** Bytes of one connection's messages; past it nothing more is taken from it for a moment. Per second. */
  readonly bytesPerSecond: number;
  /** So many bytes at once, after a rest. */
  readonly bytesAtOnce: number;
  /** The same for all connections of one satellite together, and at once as many as one connection. Per second. */
  readonly bytesPerSecondPerSatellite: number;
  /**
   * Of the hub's time, for reading what one satellite brings while somebody else says anything; pages of catch-up together have as
   * much while events pass live. Percent.
   */
  readonly workPercent: number;
  /** The same for one that has several connections, all of them together, where that is less. Percent. */
  readonly workPercentPerSatellite: number;
  /**
   * Data of one connection's events that have no receipt yet; past it nothing more is taken from it until some have. A message
   * that is larger passes alone. Bytes.
   */
  readonly inFlightBytes: number;
  /** The same for all connections of one satellite together. Bytes. */
  readonly inFlightBytesPerSatellite: number;
  /** Rooms in one `hub:listen` or handshake. */
  readonly listenRooms: number;
  /** A room's name that is asked for, its prefix and all. Characters, as JavaScript counts them. */
  readonly roomLength: number;
  /** Names under which one satellite follows. */
  readonly followers: number;
  /**
   * Text of the events that one satellite's followers have parked, over all its names; the follower that parks more is ended, with
   * `PARKED_TOO_MANY`. Bytes, as if it were ASCII.
   */
  readonly parkedBytes: number;
  /** Work groups of one contract. */
  readonly groups: number;
  /** Those of them that one satellite was the first to name. */
  readonly groupsPerSatellite: number;
  /** Events that wait in one group before it looks at no more of the log. */
  readonly groupWaiting: number;
  /** Events of one key that wait in one group before further ones of it are passed over until some are settled. */
  readonly keyWaiting: number;
  /** Keys of which one group has passed over events before it looks at no more of the log. */
  readonly keysPassedOver: number;
  /** The same of their characters, since a key may be as long as an event. */
  readonly keysPassedOverLength: number;
  /** Dead events of one group before it looks at no more of the log: nothing is lost, but somebody has to look after them. */
  readonly groupDead: number;
  /**
   * Events that wait, are held or are dead, over all groups that one satellite was the first to name, before these look at no more
   * of the log.
   */
  readonly claimsPerSatellite: number;
  /**
   * The same of all satellites of all contracts. Where there are so many, groups of those that have more than their equal part look at no
   * more of the log.
   */
  readonly claims: number;
  /**
   * Claims that one satellite lets run out, by their lease or its connection; past it it is given no more until that is worked off. Per
   * second.
   */
  readonly lostClaimsPerSecond: number;
  /** So many of them at once, after a rest. */
  readonly lostClaimsAtOnce: number;
  /** How long after its connection is gone a satellite keeps its claims. Milliseconds. */
  readonly graceMs: number;
  /** How long after its last connection is gone a satellite counts as connected. Milliseconds. */
  readonly presenceGraceMs: number;
  /** Questions of one connection that wait for answers; past it, `QUESTIONS_TOO_MANY`. */
  readonly openQuestions: number;
  /** Questions that wait for one connection's answers; past it, `ANSWERER_BUSY`. */
  readonly openAnswers: number;
  /**
   * What waits for one connection to be read, its text and 360 bytes for each packet; past it the connection leaves live delivery,
   * is served from the log when it has read what waits, and is not listened to until then. Bytes.
   */
  readonly unsentBytes: number;
  /** Between two looks at what is unsent. Milliseconds. */
  readonly unsentCheckMs: number;
  /** Between two words to live listeners on how far they are, so that they need not read the same again. Milliseconds. */
  readonly reachedMs: number;
  /** Satellites' connections; past it new ones are refused with `CONNECTIONS_TOO_MANY`. */
  readonly connections: number;
  /** The same from one address. Of IPv6 the first 64 bits count, since whoever has one of them has them all. */
  readonly connectionsPerAddress: number;
  /** The same of one satellite of one contract. */
  readonly connectionsPerSatellite: number;
  /**
   * Connections begun, long polling's upgrades among them, one after the other at this pace; past it `HANDSHAKES_TOO_MANY` with the
   * time to wait. Per second.
   */
  readonly handshakesPerSecond: number;
  /** So many of them may come at once, after a rest, and wait for each other. */
  readonly handshakesAtOnce: number;
  /** The same from one address. Per second. */
  readonly handshakesPerSecondPerAddress: number;
  readonly handshakesAtOncePerAddress: number;
  /** So many times as fast as handshakes may sockets be opened on the hub's own server; who goes on is not answered, and cut off. */
  readonly socketsPerHandshake: number;
  /** What a WebSocket may still send that is closed, or not yet a connection's; past it it is not read, and cut off after `closeMs`. Bytes. */
  readonly unheardBytes: number;
  /** From the connection to the first valid handshake; on the hub's own server also to the end of a request's head. Milliseconds. */
  readonly connectTimeoutMs: number;
  /** For one HTTP request to arrive, on the hub's own server: long polling brings its messages so. Milliseconds. */
  readonly requestTimeoutMs: number;
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
  /** How long a hub that closes, or ends a connection, waits for satellites to read what it still has for them. Milliseconds. */
  readonly closeMs: number;
}

export const defaultLimits: Limits = {
  eventBytes: 131_072, // what a browser handles in a frame; larger content belongs in a store, with a reference
  batchEvents: 256, // what the satellite package sends at most; they take the hub 5 ms, in which it does nothing else
  messageBytes: 262_144, // an event of the largest size and as much beside it, 3 to 5 ms in which the hub does nothing else; with Engine.IO's 1 MiB it is 10 to 15
  messageFragments: 256, // 1 KiB each in a message of the largest size; without a bound 0.9 MB of fragments of one byte were 14 MB and 0.3 s of CPU
  messageReads: 4_096, // 64 bytes each
  eventValues: 10_000, // where all of them are wrong zod takes 5 to 30 ms, in which the hub does nothing else
  depth: 32, // far deeper than people nest, far shallower than a stack
  queueBytes: 67_108_864, // a second of the fastest log's work, several times over
  resendMs: 2_000, // what was on its way is here by then, over a bad network too; the satellite package resends after 500
  commitEvents: 4_096, // larger commits gain nothing and hold up the first receipt
  tailBytes: 524_288, // some 1,000 events: more than arrive while one page is read
  eventsPerSecond: 5_000, // an eighth of what a hub on two cores takes: who goes on without end leaves others theirs
  eventsAtOnce: 5_000, // half of what a satellite's outbox holds and says at once when it is back; the rest takes a second more
  eventsPerSecondPerSatellite: 5_000, // more connections give nobody more of the hub: with twice as much p99 beside a flood was at 3 times the quiet one
  requestsPerSecond: 50, // each may read a page of the log, some 2 ms
  requestsAtOnce: 100, // who connects asks to listen, to follow and to work; who does so under more names than that waits a little
  requestsPerSecondPerSatellite: 100, // many copies of a service come back together
  debtEvents: 200, // plain clients have so much on its way when they are told
  bytesPerSecond: 2_097_152, // 5,000 events of 400 bytes; with twice as much p99 beside a flood of large events was at 1.7 to 3.4 times the quiet one
  bytesAtOnce: 2_097_152,
  bytesPerSecondPerSatellite: 2_097_152, // what the disk writes of one, all others wait for
  workPercent: 20, // four others have as much, and the hub itself too
  workPercentPerSatellite: 8, // what one that takes its turn comes to; commits and receipts take as long again. With 20 a flood over 20 connections left others' p99 at up to 3.3 times
  inFlightBytes: 131_072, // 450 events of 280 bytes: at 20,000 a second they wait 22 ms, and a commit takes 3 to 10
  inFlightBytesPerSatellite: 524_288, // four connections that each have all that they may
  listenRooms: 100,
  roomLength: 128, // as an event's id; a satellite's own room has 97 at most
  followers: 100,
  parkedBytes: 8_388_608, // some 20,000 events of 250 bytes, with what is told of each
  groups: 1_000,
  groupsPerSatellite: 100, // as for followers; ten satellites that run wild do not yet take all
  groupWaiting: 10_000, // behind keys that are worked on, or that wait for their next attempt; some 2 MB
  keyWaiting: 1_000, // a tenth of them: nine keys that run wild leave others room, and one by one these last for many round trips
  keysPassedOver: 100, // each round writes them all
  keysPassedOverLength: 10_000, // what such a round may weigh beside its claims
  groupDead: 100_000, // some 60 MB; so many are no accident of single events
  claimsPerSatellite: 200_000, // 200 to 400 MB; two groups with all that may be dead
  claims: 400_000, // twice that, in a process that has 2 to 4 GB
  lostClaimsPerSecond: 1_000, // a hand-over, a fact and two records each: with 12,000 a second others' p99 was at 10 to 50 times
  lostClaimsAtOnce: 10_000, // the largest capacity, of a process that stood still
  graceMs: 5_000, // a satellite reconnects after 0.1 to 2 s
  presenceGraceMs: 3_000, // a satellite reconnects after 0.1 to 2 s, and needs some round trips then
  openQuestions: 256, // answered in 10 ms each these are 25,000 a second; an open one holds some hundred bytes
  openAnswers: 256, // more only wait for each other
  unsentBytes: 2_097_152, // two pages of catch-up, or the receipts of 4,900 events; a healthy connection holds a few packets
  unsentCheckMs: 100, // at 25 MB/s of events two and a half megabytes, shared by all connections of an audience
  reachedMs: 10_000, // 1,395 vendors that came back had made the hub read the whole log for each: 13 s of CPU
  connections: 10_000, // idle ones take some 20 kB each; the process needs as many open files (`ulimit -n`)
  connectionsPerAddress: 2_000, // a large office behind one address, and still a fifth of all; behind a proxy see `proxies`
  connectionsPerSatellite: 100, // far more than copies of a service; those that are gone without a word count for 45 s more
  handshakesPerSecond: 200, // each takes 0.6 ms of CPU, and 1 ms with a token: a fifth of a core, and others have their time between them
  handshakesAtOnce: 1_000, // beyond it they come in bit by bit: clients try again by themselves
  handshakesPerSecondPerAddress: 50, // a quarter of that
  handshakesAtOncePerAddress: 100, // an office whose line was down; the others come some seconds later
  socketsPerHandshake: 4, // who polls has two, a third to change to WebSocket, and a new one after each rest of 5 s; TLS takes 1 to 2 ms for each
  unheardBytes: 65_536, // what was on its way at the goodbye; with 1 MiB who then connects again left others' p99 at 2 to 3 times
  connectTimeoutMs: 10_000,
  requestTimeoutMs: 30_000, // the largest message at 9 kB/s
  pingIntervalMs: 25_000, // Socket.IO's default
  pingTimeoutMs: 20_000, // Socket.IO's default
  tokenBytes: 8_192, // what an HTTP server takes for all headers together; a token with a few claims has some 300
  tokenGraceMs: 30_000, // a restart of whoever issues tokens, and a few tries to reach it
  sessionCheckMs: 250, // 10,000 connections are some 40,000 comparisons a second
  closeMs: 1_000, // within the 4 seconds that a process has to end
};

/** `ws` takes a larger `messageBytes` for none, and a timer that is longer is over at once. */
const most = 2_147_483_647;

function mostOf(name: string): number {
  if (name.startsWith("workPercent")) return 100;
  return name.endsWith("Ms") ? Math.floor(most / 2) : most; // a satellite's timer takes a ping's two together
}

/** What is wrong with changes of the limits, each in a few words; empty: nothing. */
export function limitFaults(changes: object): string[] {
  return Object.entries(changes).flatMap(([name, value]) => {
    if (!Object.hasOwn(defaultLimits, name)) return [`there is no limit ${JSON.stringify(name)}`];
    const isUsable = Number.isSafeInteger(value) && value >= 1 && value <= mostOf(name);
    return isUsable
      ? []
      : [`${name} must be a whole number from 1 to ${mostOf(name)}, not ${JSON.stringify(value)}`];
  });
}

/** Fills in the defaults. Anything but a whole number within its bounds is `CONFIG_INVALID`. */
export function limitsFrom(changes: Partial<Limits> = {}): Limits {
  const faults = limitFaults(changes);
  if (faults.length > 0) throw new OrreryError("CONFIG_INVALID", { detail: `${faults.join("; ")}.` });
  return { ...defaultLimits, ...changes };
}
