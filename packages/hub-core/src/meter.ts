import { setImmediate as nextTurn } from "node:timers/promises";
import { type ErrorBody, errorBody } from "@orrery/contracts";
import type { HubSocket } from "./audience.ts";
import {
  type Connection,
  holdBack,
  isPolling,
  unsentBytes,
  watchPolling,
  watchSocket,
  whenDrained,
  whenOver,
} from "./connection.ts";
import { satelliteOf } from "./identity.ts";
import type { Limits } from "./limits.ts";
import { Loads } from "./loads.ts";
import type { Logger } from "./logger.ts";
import { Rates } from "./rate.ts";
import { countedMs } from "./share.ts";
import type { Tally } from "./tally.ts";

/** Messages of any kind, acks and pings too, for each event that may be said: what is no event, or is refused, is less work. */
const messagesPerEvent = 2;
/**
 * What a refusal takes of the rate: it is some of the work of what it refuses. As many as may come take less than comes back, so that
 * also who asks again and again is let through in the end.
 */
const refusalCost = 0.25;
/** What one more HTTP request of long polling counts as, whatever is in it: 150 µs of the hub. Messages. */
const postMessages = 8;
/**
 * What the hub does for one connection before others have their turn. An event passes through some eight turns of the event loop from
 * one satellite to the other. Milliseconds.
 */
const turnMs = 0.25;
/** So much of the hub's time a satellite's connections take together, after a rest, before they wait for their share. Milliseconds. */
const burstMs = 5;
/** Who is the only one that has said anything for so long has nobody to wait for. Milliseconds. */
const aloneMs = 100;

/** A rate, for each connection, and for each satellite with all its connections. */
interface Gauge {
  readonly ofConnection: Rates<Connection>;
  readonly ofSatellite: Rates<string>;
}

/**
 * Counts what connections and satellites say. Who has nothing left of its rate is refused, with the time to wait; who goes on
 * all the same, or has too much in flight, is not listened to for a while, which costs the hub nothing.
 */
export class Meter {
  readonly #limits: Limits;
  readonly #logger: Logger;
  readonly #inside: Tally;
  readonly #nowMs: () => number;
  readonly #events: Gauge;
  readonly #requests: Gauge;
  readonly #messages: Rates<Connection>;
  /** Claims that satellites let run out. */
  readonly #losses: Rates<string>;
  readonly #bytes: Gauge;
  /** Milliseconds of the hub's. */
  readonly #time: Rates<string>;
  /** The same, for those that have several connections. */
  readonly #timeTogether: Rates<string>;
  /** Kept, since to make these names anew takes a third of all that the rate costs. */
  readonly #satellites = new WeakMap<HubSocket, string>();
  readonly #owners = new WeakMap<Connection, string>();
  readonly #addresses = new WeakMap<Connection, string>();
  /** What waits for receipts. */
  readonly #loads: Loads<Connection>;
  readonly #loadsOfSatellites: Loads<string>;
  /** Of long polling: what is not dealt with yet of what a request has brought. */
  readonly #requestsAtWork = new WeakMap<Connection, Promise<void>>();
  readonly #stoppedUntilMs = new WeakMap<Connection, number>();
  /** Of those that had their turn: when the next one is. */
  readonly #restsUntilMs = new WeakMap<Connection, number>();
  /** Who has said something last, and when somebody else did. */
  #last: { readonly owner: string; readonly otherMs: number } | undefined;

  /** `inside`: how many connections each satellite has. `nowMs`: a clock that is never set back. */
  constructor(limits: Limits, logger: Logger, inside: Tally, nowMs = () => performance.now()) {
    this.#inside = inside;
    this.#limits = limits;
    this.#logger = logger;
    this.#nowMs = nowMs;
    this.#events = gaugeOf(
      limits.eventsPerSecond,
      limits.eventsPerSecondPerSatellite,
      limits.eventsAtOnce,
      limits.debtEvents,
    );
    this.#requests = gaugeOf(
      limits.requestsPerSecond,
      limits.requestsPerSecondPerSatellite,
      limits.requestsAtOnce,
      limits.debtEvents / 10,
    );
    this.#messages = new Rates({
      perSecond: messagesPerEvent * limits.eventsPerSecond,
      atOnce: messagesPerEvent * limits.eventsAtOnce,
      debt: 0,
    });
    this.#losses = new Rates({
      perSecond: limits.lostClaimsPerSecond,
      atOnce: limits.lostClaimsAtOnce,
      debt: 0,
    });
    this.#bytes = gaugeOf(limits.bytesPerSecond, limits.bytesPerSecondPerSatellite, limits.bytesAtOnce, 0);
    this.#time = new Rates({ perSecond: 10 * limits.workPercent, atOnce: turnMs, debt: 0 });
    this.#timeTogether = new Rates({
      perSecond: 10 * limits.workPercentPerSatellite,
      atOnce: burstMs,
      debt: 0,
    });
    this.#loads = new Loads(limits.inFlightBytes);
    this.#loadsOfSatellites = new Loads(limits.inFlightBytesPerSatellite);
  }

  /** Counts all that the connection carries, from now on; until it has joined with all others of its address that have not. */
  watch(connection: Connection, address: string): void {
    this.#addresses.set(connection, address);
    connection.on("packet", ({ data }: { readonly data?: string | Buffer }) => {
      if (connection.transport.name === "polling") this.#read(connection, data?.length ?? 0);
      // It joins a namespace: for the hub that is as much as to listen.
      this.#message(connection, typeof data === "string" && data.startsWith("0"));
    });
    watchSocket(connection, this.#limits.unsentBytes, {
      mayBegin: () => this.#mayBegin(connection),
      onBytes: (bytes) => this.#read(connection, bytes),
      onWork: (ms) => this.#worked(connection, ms),
      onPing: () => this.#message(connection),
    });
    watchPolling(
      connection,
      () => this.#beginRequest(connection),
      (ms) => {
        this.#worked(connection, ms);
        return this.whenFree(connection);
      },
    );
  }

  /** From now on it is known whose connection it is: with its others it is one satellite of one contract. */
  join(socket: HubSocket): void {
    const satellite = satelliteOf(socket.nsp.name.slice(1), socket.data.identity);
    this.#satellites.set(socket, satellite);
    this.#owners.set(socket.conn, satellite);
  }

  /** Counts one more HTTP request for a connection that polls. */
  posted(connection: Connection): void {
    const nowMs = this.#nowMs();
    if (this.#messages.take(connection, postMessages, nowMs))
      this.#stop(connection, this.#ownerOf(connection), nowMs);
  }

  /** Resolves when all that the connection's last request has brought is dealt with, and it may be listened to; or when it is gone. */
  async whenNext(connection: Connection): Promise<void> {
    await this.#requestsAtWork.get(connection);
    if (this.isHeld(connection)) await this.whenFree(connection);
  }

  /** What it returns ends it. */
  #beginRequest(connection: Connection): () => void {
    let end = () => {};
    this.#requestsAtWork.set(connection, new Promise<void>((resolve) => (end = resolve)));
    return () => {
      this.#requestsAtWork.delete(connection);
      end();
    };
  }

  /** Why so many events in one message, or a question, are refused; undefined: they may pass. */
  eventsRefusal(socket: HubSocket, count: number): ErrorBody | undefined {
    return this.#refusal(this.#events, socket, count);
  }

  /** Why a message that asks something of the hub itself is refused. */
  requestRefusal(socket: HubSocket): ErrorBody | undefined {
    return this.#refusal(this.#requests, socket, 1);
  }

  /** Counts so many events that are not refused for their rate; none: a message that is refused anyway. */
  count(socket: HubSocket, events = refusalCost): void {
    this.#take(this.#events, socket.conn, this.#satelliteOf(socket), events, this.#nowMs());
  }

  /** So many bytes of events are on their way to disk until what it returns is called. */
  carry(socket: HubSocket, bytes: number): () => void {
    const { conn } = socket;
    const satellite = this.#satelliteOf(socket);
    this.#loads.add(conn, bytes);
    this.#loadsOfSatellites.add(satellite, bytes);
    if (this.#isLoaded(conn)) this.hold(conn);
    return () => {
      this.#loads.remove(conn, bytes);
      this.#loadsOfSatellites.remove(satellite, bytes);
    };
  }

  /**
   * What it has said before is written again since it says so: each counts as an event, and as so many bytes that it has brought, which
   * are on their way to disk until what it returns is called.
   */
  repeat(socket: HubSocket, bytes: number): () => void {
    this.count(socket, 1);
    this.#take(this.#bytes, socket.conn, this.#satelliteOf(socket), bytes, this.#nowMs());
    return this.carry(socket, bytes);
  }

  /** A claim of the satellite, `parcels driver:d1`, has run out. */
  lose(satellite: string): void {
    this.#losses.take(satellite, 1, this.#nowMs());
  }

  /** How long the satellite is given no more claims, because it let so many run out. Milliseconds. */
  lossWaitMs(socket: HubSocket): number {
    return this.#losses.waitMs(this.#satelliteOf(socket), this.#nowMs());
  }

  /** Whether nothing more is to be taken from the connection now. */
  isHeld(connection: Connection): boolean {
    return this.#waitMs(connection) > 0 || this.#isLoaded(connection) || this.#isUnread(connection);
  }

  /** Takes nothing more from the connection until it may go on, where it may not now. */
  hold(connection: Connection): void {
    if (this.isHeld(connection)) holdBack(connection, () => this.whenFree(connection));
  }

  /** Resolves when the connection may be listened to, or when it is gone. */
  async whenFree(connection: Connection): Promise<void> {
    while (connection.readyState !== "closed") {
      const waitMs = this.#waitMs(connection);
      if (waitMs > 0) await whenOver(connection, waitMs);
      else if (this.#isLoaded(connection)) await this.#whenLoadedLess(connection);
      else if (this.#isUnread(connection)) await whenDrained(connection);
      else return;
    }
  }

  #read(connection: Connection, bytes: number): void {
    const nowMs = this.#nowMs();
    const owner = this.#ownerOf(connection);
    if (owner !== this.#last?.owner) this.#last = { owner, otherMs: nowMs };
    this.#take(this.#bytes, connection, owner, bytes, nowMs);
  }

  /** While a satellite has had its share, each of its connections waits for its turn. */
  #mayBegin(connection: Connection): boolean {
    const nowMs = this.#nowMs();
    const owner = this.#ownerOf(connection);
    if (this.#isAlone(owner, nowMs) || this.#timeStopMs(owner, nowMs) === 0) return true;
    if (this.#restsUntilMs.delete(connection)) return true; // it has waited
    this.#rest(connection, turnMs, nowMs);
    this.hold(connection);
    return false;
  }

  /** The hub was at what the connection brought for so long: others have their turn, and, where there are any, their time. */
  #worked(connection: Connection, ms: number): void {
    if (ms < turnMs) return;
    const nowMs = this.#nowMs();
    if (!this.#isAlone(this.#ownerOf(connection), nowMs)) this.#rest(connection, ms, nowMs);
    holdBack(connection, async () => {
      await nextTurn();
      await this.whenFree(connection);
    });
  }

  /** Takes so much of its satellite's time. Its connections rest one after the other. */
  #rest(connection: Connection, workMs: number, nowMs: number): void {
    const owner = this.#ownerOf(connection);
    const { workPercent, workPercentPerSatellite } = this.#limits;
    this.#time.take(owner, countedMs(workMs, workPercent), nowMs);
    this.#timeTogether.take(owner, countedMs(workMs, workPercentPerSatellite), nowMs);
    this.#restsUntilMs.set(connection, nowMs + Math.min(this.#timeStopMs(owner, nowMs), this.#mostStopMs));
  }

  #isAlone(owner: string, nowMs: number): boolean {
    return owner === this.#last?.owner && nowMs - this.#last.otherMs > aloneMs;
  }

  #timeStopMs(owner: string, nowMs: number): number {
    const ms = this.#time.stopMs(owner, nowMs);
    return this.#inside.of(owner) > 1 ? Math.max(ms, this.#timeTogether.stopMs(owner, nowMs)) : ms;
  }

  #message(connection: Connection, isRequest = false): void {
    const nowMs = this.#nowMs();
    let isDeep = this.#messages.take(connection, 1, nowMs);
    if (isRequest) isDeep = this.#requests.ofConnection.take(connection, 1, nowMs) || isDeep;
    if (isDeep) this.#stop(connection, this.#ownerOf(connection), nowMs);
  }

  #refusal(gauge: Gauge, socket: HubSocket, tokens: number): ErrorBody | undefined {
    const nowMs = this.#nowMs();
    const { conn } = socket;
    const satellite = this.#satelliteOf(socket);
    const mayPass = waitMsOf(gauge, conn, satellite, nowMs) === 0;
    this.#take(gauge, conn, satellite, mayPass ? tokens : refusalCost, nowMs);
    // What the refusal has taken is to come back too: else whoever waits as long as it is told is refused once more.
    return mayPass
      ? undefined
      : errorBody("RATE_LIMITED", undefined, waitMsOf(gauge, conn, satellite, nowMs));
  }

  #take(gauge: Gauge, connection: Connection, owner: string, tokens: number, nowMs: number): void {
    const isDeep = gauge.ofConnection.take(connection, tokens, nowMs);
    const isDeepTogether = gauge.ofSatellite.take(owner, tokens, nowMs);
    if (isDeep || isDeepTogether) this.#stop(connection, owner, nowMs);
  }

  /** Does not listen, for a while, to a connection that is too deep in debt, by itself or with its satellite's others. */
  #stop(connection: Connection, owner: string, nowMs: number): void {
    let ms = this.#messages.stopMs(connection, nowMs);
    for (const { ofConnection, ofSatellite } of [this.#events, this.#requests, this.#bytes])
      ms = Math.max(ms, ofConnection.stopMs(connection, nowMs), ofSatellite.stopMs(owner, nowMs));
    if (!this.#stoppedUntilMs.has(connection)) {
      const satellite = this.#owners.get(connection);
      this.#logger.warn({ satellite, address: connection.remoteAddress, ms }, "a connection says too much");
    }
    this.#stoppedUntilMs.set(connection, nowMs + Math.min(ms, this.#mostStopMs));
    this.hold(connection);
  }

  /** A connection that is not listened to for long would be taken for dead. */
  get #mostStopMs(): number {
    return this.#limits.pingTimeoutMs / 2;
  }

  /** Until it has its next turn, and is stopped no more. */
  #waitMs(connection: Connection): number {
    const restsUntilMs = this.#restsUntilMs.get(connection) ?? 0;
    return Math.max(restsUntilMs, this.#stoppedUntilMs.get(connection) ?? 0) - this.#nowMs();
  }

  #satelliteOf(socket: HubSocket): string {
    return this.#satellites.get(socket) as string;
  }

  /** One that polls is asked nothing in between: it reads when it polls. */
  #isUnread(connection: Connection): boolean {
    return !isPolling(connection) && unsentBytes(connection) > this.#limits.unsentBytes;
  }

  #isLoaded(connection: Connection): boolean {
    return this.#loads.isTooMuch(connection) || this.#loadsOfSatellites.isTooMuch(this.#ownerOf(connection));
  }

  async #whenLoadedLess(connection: Connection): Promise<void> {
    await this.#loads.whenLess(connection);
    await this.#loadsOfSatellites.whenLess(this.#ownerOf(connection));
  }

  /** Its satellite; where it is not known yet whose it is, its address. */
  #ownerOf(connection: Connection): string {
    return this.#owners.get(connection) ?? (this.#addresses.get(connection) as string);
  }
}

const waitMsOf = (
  { ofConnection, ofSatellite }: Gauge,
  connection: Connection,
  satellite: string,
  nowMs: number,
): number => Math.max(ofConnection.waitMs(connection, nowMs), ofSatellite.waitMs(satellite, nowMs));

const gaugeOf = (perSecond: number, perSecondOfSatellite: number, atOnce: number, debt: number): Gauge => ({
  ofConnection: new Rates({ perSecond, atOnce, debt }),
  ofSatellite: new Rates({ perSecond: perSecondOfSatellite, atOnce, debt }),
});
