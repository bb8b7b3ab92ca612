import type { Contract, ListenReply } from "@orrery/contracts";
import type { EventLog, Filter } from "@orrery/event-log";
import { z } from "zod";
import { type Audiences, type HubSocket, packetsOf } from "./audience.ts";
import { whenDrained } from "./connection.ts";
import { cursorOf, type Start, startAfter } from "./cursor.ts";
import { filterOf } from "./filter-of.ts";
import type { Limits } from "./limits.ts";
import { listOf, mostListed } from "./list-of.ts";
import type { LogReader } from "./log-reader.ts";
import type { Publisher } from "./publish.ts";
import { refused } from "./refused.ts";
import { isOver } from "./session.ts";
import type { Turns } from "./turns.ts";

/** How far a socket is that is not live yet. */
interface CatchingUp {
  filter: Filter;
  /** Everything up to it was sent. */
  position: number;
  /** Of these the last values come first, from `after` on: of those under way, then of those that came to it meanwhile. */
  readonly latest: { readonly filter: Filter; after: number }[];
}

const Request = z.strictObject({
  events: listOf(z.string(), mostListed),
  rooms: listOf(z.string(), mostListed).optional(),
  after: z.string().max(200).optional(),
  fresh: listOf(z.string(), mostListed).optional(),
});

/**
 * Sets what sockets hear. A socket is live, in an audience, or catches up: from its cursor, from the values that a new
 * listener gets first, or because it read too slowly to stay live. Catching up ends in becoming live, without a seam.
 */
export class Listening {
  readonly #contract: Contract;
  readonly #log: EventLog;
  readonly #publisher: Publisher;
  readonly #reader: LogReader;
  readonly #turns: Turns;
  readonly #audiences: Audiences;
  readonly #limits: Limits;
  readonly #onFault: (socket: HubSocket, error: unknown) => void;
  /** Sockets that are not live yet. */
  readonly #catchingUp = new Map<HubSocket, CatchingUp>();
  /** Those that have a loop, which may still wait for a page to be read that was sent before. */
  readonly #looping = new WeakSet<HubSocket>();

  /** `onFault` hears of a log that could not be read: the socket then hears nothing more. */
  constructor(
    contract: Contract,
    log: EventLog,
    publisher: Publisher,
    reader: LogReader,
    turns: Turns,
    audiences: Audiences,
    limits: Limits,
    onFault: (socket: HubSocket, error: unknown) => void,
  ) {
    this.#contract = contract;
    this.#log = log;
    this.#publisher = publisher;
    this.#reader = reader;
    this.#turns = turns;
    this.#audiences = audiences;
    this.#limits = limits;
    this.#onFault = onFault;
  }

  /** From now on, the last values per key first. For a plain client, when it connects. */
  listenFromNow(socket: HubSocket, filter: Filter): void {
    this.#begin(
      socket,
      filter,
      this.#latestOf(filter, Object.keys(this.#contract.events)),
      this.#publisher.head,
    );
  }

  /** For `hub:listen`. The reply is handed to `reply` before any event is sent. */
  listen(socket: HubSocket, message: unknown, reply: (reply: ListenReply) => void): void {
    const request = Request.safeParse(message);
    if (!request.success) return reply(refused("MESSAGE_INVALID", request.error));
    const { events, rooms, after, fresh } = request.data;
    const filter = filterOf(this.#contract, socket.data.identity, events, rooms, this.#limits);
    if ("code" in filter) return reply({ ok: false, error: filter });
    const start = this.#startOf(after);
    if (start === undefined) return reply(refused("CURSOR_INVALID"));

    const cursor = cursorOf(this.#log.epoch, start.offset);
    reply({ ok: true, cursor });
    if (start.gap !== undefined) socket.emit("hub:gap", { reason: "epoch", after: start.gap, until: cursor });
    const before = this.#catchingUp.get(socket);
    const heard = (before?.filter ?? this.#audiences.filterOf(socket))?.events;
    const isNew = (event: string) => !heard?.has(event);
    const isNewTo = fresh ?? (after === undefined ? events.filter(isNew) : []);
    if (after !== undefined || before === undefined)
      return this.#begin(socket, filter, this.#latestOf(filter, isNewTo), start.offset);
    // It goes on from where it is.
    before.filter = filter;
    const waiting = before.latest.splice(1).flatMap((one) => [...one.filter.events.keys()]);
    const latest = this.#latestOf(filter, [...waiting, ...isNewTo]);
    if (latest !== undefined) before.latest.push({ filter: latest, after: 0 });
  }

  /** The socket reads too slowly to stay live: it catches up from here when it has read what it was sent. */
  fallBehind(socket: HubSocket): void {
    const filter = this.#audiences.filterOf(socket);
    if (filter === undefined) return;
    this.#audiences.leave(socket);
    this.#run(socket, { filter, position: this.#publisher.head, latest: [] });
  }

  /** What the socket hears, and how many places of the log it is behind. Undefined: nothing. */
  stateOf(socket: HubSocket): { readonly filter: Filter; readonly lag: number } | undefined {
    const behind = this.#catchingUp.get(socket);
    const filter = behind?.filter ?? this.#audiences.filterOf(socket);
    return filter && { filter, lag: behind === undefined ? 0 : this.#publisher.head - behind.position };
  }

  /** The socket is gone. */
  leave(socket: HubSocket): void {
    this.#catchingUp.delete(socket);
    this.#audiences.leave(socket);
  }

  #startOf(after: string | undefined): Start | undefined {
    if (after === undefined) return { offset: this.#publisher.head };
    return after === "start" ? { offset: 0 } : startAfter(after, this.#log.epoch, this.#publisher.head);
  }

  /** The part of the filter of which a new listener gets the last values; undefined where there is none. */
  #latestOf({ contract, events }: Filter, fresh: readonly string[]): Filter | undefined {
    const isLatest = (event: string) =>
      this.#contract.events[event]?.keep === "latest" && fresh.includes(event);
    const latest = new Map([...events].filter(([event]) => isLatest(event)));
    return latest.size === 0 ? undefined : { contract, events: latest };
  }

  #begin(socket: HubSocket, filter: Filter, latest: Filter | undefined, offset: number): void {
    this.#audiences.leave(socket);
    if (latest === undefined && offset === this.#publisher.head) {
      this.#catchingUp.delete(socket);
      this.#audiences.join(socket, filter);
    } else {
      this.#run(socket, {
        filter,
        position: offset,
        latest: latest === undefined ? [] : [{ filter: latest, after: 0 }],
      });
    }
  }

  #run(socket: HubSocket, turn: CatchingUp): void {
    this.#catchingUp.set(socket, turn);
    if (this.#looping.has(socket)) return;
    this.#looping.add(socket);
    this.#catchUp(socket).catch((error) => this.#onFault(socket, error));
  }

  /**
   * Sends the last values, then what came after the position: in pages, each when the one before was read, until the rest is
   * in memory; then, in one turn, sends that rest and joins the audience: nothing in between is missed or comes twice. Whoever
   * asks again and again without reading still has one page on its way: the hub has to keep it until it is read.
   */
  async #catchUp(socket: HubSocket): Promise<void> {
    try {
      await whenDrained(socket.conn);
      for (let turn = this.#catchingUp.get(socket); turn !== undefined; turn = this.#catchingUp.get(socket)) {
        if (isOver(socket)) return;
        await this.#goOn(socket, turn);
      }
    } finally {
      this.#looping.delete(socket);
    }
  }

  async #goOn(socket: HubSocket, turn: CatchingUp): Promise<void> {
    const hasEnded = () => this.#catchingUp.get(socket) !== turn || isOver(socket);
    const [latest] = turn.latest;
    if (latest !== undefined) await this.#sendLatest(socket, turn, latest, hasEnded);
    else if (!this.#reader.isNear(turn.position)) await this.#sendNext(socket, turn, hasEnded);
    else await this.#goLive(socket, turn, hasEnded);
  }

  async #sendLatest(
    socket: HubSocket,
    turn: CatchingUp,
    latest: CatchingUp["latest"][number],
    hasEnded: () => boolean,
  ): Promise<void> {
    const { form } = socket.data;
    await this.#turns.take(
      () => this.#reader.latest(latest.after, turn.position, latest.filter, form),
      async ({ texts, through }) => {
        if (hasEnded()) return;
        await this.#sendPage(socket, "hub:latest", texts);
        latest.after = through;
      },
    );
    if (latest.after < turn.position) return;
    turn.latest.shift();
    if (form === "batched" && turn.latest.length === 0 && !hasEnded()) socket.emit("hub:latest", []);
  }

  async #sendNext(socket: HubSocket, turn: CatchingUp, hasEnded: () => boolean): Promise<void> {
    const { position, filter } = turn;
    const { form } = socket.data;
    await this.#turns.take(
      () => this.#reader.read(position, filter, form),
      async ({ texts, through, missingThrough }) => {
        if (hasEnded()) return;
        this.#reader.readAhead(through, filter, form);
        if (missingThrough !== undefined) {
          // Before the page, which may hold the newest of `latest` events from within the gap: a satellite that has heard of
          // one of them, and loses its connection then, resumes behind it.
          const { epoch } = this.#log;
          const [after, until] = [cursorOf(epoch, position), cursorOf(epoch, missingThrough)];
          socket.emit("hub:gap", { reason: "retention", after, until });
        }
        await this.#sendPage(socket, "hub:events", texts);
        turn.position = through;
      },
    );
  }

  async #goLive(socket: HubSocket, turn: CatchingUp, hasEnded: () => boolean): Promise<void> {
    if (!this.#reader.isLive(turn.position)) await this.#turns.start();
    const { position, filter, latest } = turn;
    // Meanwhile it may have asked for more, and what it lacks may have left the memory.
    if (hasEnded() || latest.length > 0 || !this.#reader.isNear(position)) return;
    const { texts } = this.#reader.readNear(position, filter, socket.data.form);
    for (const packet of this.#packets(socket, "hub:events", texts))
      socket.emit("hub:events", packet as never);
    this.#catchingUp.delete(socket);
    this.#audiences.join(socket, filter);
  }

  /** Resolves when the socket has read it: a batched one answers, of a plain one the transport tells. */
  async #sendPage(socket: HubSocket, message: PageMessage, texts: readonly string[]): Promise<void> {
    for (const packet of this.#packets(socket, message, texts)) {
      if (isOver(socket)) return; // a satellite may take its time with each
      if (socket.data.form === "plain") socket.emit(message, packet as never);
      else await new Promise<void>((resolve) => socket.emit(message, packet as never, () => resolve()));
    }
    await whenDrained(socket.conn);
  }

  #packets(socket: HubSocket, message: PageMessage, texts: readonly string[]) {
    return packetsOf(socket.data.form, message, texts, this.#limits.messageBytes);
  }
}

type PageMessage = "hub:events" | "hub:latest";
