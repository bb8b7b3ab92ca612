import {
  type Contract,
  type DeliveryReply,
  type DoneReply,
  type ErrorCode,
  errorBody,
  type FollowersReply,
  type FollowReply,
  nameOf,
  type Parked,
  type ParkedReply,
  satelliteId,
} from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import type { EventLog, Filter, RecordChange } from "@orrery/event-log";
import { z } from "zod";
import type { HubSocket } from "./audience.ts";
import { unsentBytes, whenDrained } from "./connection.ts";
import { cursorOf, From, startFrom } from "./cursor.ts";
import { filterOf } from "./filter-of.ts";
import { type FollowerInput, type FollowerState, followerAt, stepFollower } from "./follower.ts";
import type { Limits } from "./limits.ts";
import { listOf, mostListed } from "./list-of.ts";
import type { LogReader, ReadTexts } from "./log-reader.ts";
import type { Logger } from "./logger.ts";
import type { Meter } from "./meter.ts";
import type { Publisher } from "./publish.ts";
import { refused } from "./refused.ts";
import { mayHear } from "./rights.ts";
import { isOver } from "./session.ts";
import type { Turns } from "./turns.ts";
import { Unanswered } from "./unanswered.ts";

const Name = z.string().regex(satelliteId);
const Request = z.strictObject({
  as: Name,
  events: listOf(z.string(), mostListed),
  rooms: listOf(z.string(), mostListed).optional(),
  from: From,
});
const Named = z.strictObject({ as: Name });
const List = z.strictObject({ as: Name, after: z.int().nonnegative().default(0) });
const Redrive = z.strictObject({ as: Name, offset: z.int().positive() });
const Answer = z.strictObject({
  parked: listOf(
    z.strictObject({ offset: z.int().positive(), attempts: z.int().positive(), error: z.string() }),
    10_000,
  ).optional(),
});

/** A connection that follows; a newer one under the same name takes its place. */
interface Following {
  readonly socket: HubSocket;
  readonly filter: Filter;
  readonly unanswered: Unanswered;
  state: FollowerState;
}

/** A name that the hub remembers. */
interface Follower {
  /** `<contract>/<role>:<id>/<as>`: part of the names of its records. */
  readonly name: string;
  readonly as: string;
  /** Everything up to it was handled. */
  cursor: number;
  readonly parked: Map<number, Parked>;
  following?: Following;
  forgetting?: Promise<void>;
}

/** The longest text of an error that is kept with a parked event. */
const errorLength = 1_000;

/** Followers of one contract: names whose cursors the hub keeps, and who follows under them now. */
export class Followers {
  readonly #contract: Contract;
  readonly #log: EventLog;
  readonly #publisher: Publisher;
  readonly #reader: LogReader;
  readonly #turns: Turns;
  readonly #meter: Meter;
  readonly #limits: Limits;
  readonly #logger: Logger;
  readonly #followers = new Map<string, Follower>();
  /** Texts of what each satellite's followers have parked, by its name in theirs. UTF-16 units. */
  readonly #parkedLengths = new Map<string, number>();
  /** Names whose first record is on its way to disk. */
  readonly #making = new Map<string, Promise<Follower>>();
  #loaded: Promise<void> | undefined;

  constructor(
    contract: Contract,
    log: EventLog,
    publisher: Publisher,
    reader: LogReader,
    turns: Turns,
    meter: Meter,
    limits: Limits,
    logger: Logger,
  ) {
    this.#contract = contract;
    this.#log = log;
    this.#publisher = publisher;
    this.#reader = reader;
    this.#turns = turns;
    this.#meter = meter;
    this.#limits = limits;
    this.#logger = logger;
  }

  /** For `hub:follow`. */
  async follow(socket: HubSocket, message: unknown): Promise<FollowReply> {
    const request = Request.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const { as, events, rooms, from } = request.data;
    const filter = filterOf(this.#contract, socket.data.identity, events, rooms, this.#limits);
    if ("code" in filter) return { ok: false, error: filter };
    await this.#load();
    const name = this.#nameOf(socket, as);
    const start = await startFrom(from, this.#log, this.#publisher);
    if (start === undefined) return refused("CURSOR_INVALID");
    await this.#followers.get(name)?.forgetting?.catch(() => undefined); // then it stays
    const known = this.#followers.get(name);
    if (known === undefined && !this.#hasRoomFor(name, socket)) return refused("FOLLOWERS_TOO_MANY");
    const follower = known ?? (await this.#create(name, as, start.offset));
    if (!socket.connected) return refused("HUB_CLOSING"); // gone while the log was asked
    const { cursor, following: older } = follower;
    if (older !== undefined && older.socket !== socket) {
      older.socket.emit("hub:unfollowed", { as, error: errorBody("FOLLOWER_TAKEN_OVER") });
    }
    stopFollowing(follower);
    const unanswered = new Unanswered(socket);
    const following: Following = { socket, filter, unanswered, state: followerAt(cursor) };
    follower.following = following;
    const reached = cursorOf(this.#log.epoch, cursor);
    // Deliveries begin after the reply.
    setImmediate(() => {
      if (known === undefined && start.gap !== undefined) {
        socket.emit("hub:gap", { reason: "epoch", after: start.gap, until: reached, as });
      }
      this.#happened(follower, following, { kind: "grown" });
    });
    return { ok: true, cursor: reached };
  }

  /** For `hub:unfollow`: the name stays. */
  async unfollow(socket: HubSocket, message: unknown): Promise<DoneReply> {
    const follower = await this.#named(socket, message);
    if (typeof follower === "string") return refused(follower);
    if (follower.following?.socket === socket) stopFollowing(follower);
    return { ok: true };
  }

  /** For `hub:followers`. */
  async list(socket: HubSocket): Promise<FollowersReply> {
    await this.#load();
    const followers = this.#ofSocket(socket).map(({ as, cursor, parked, following }) => ({
      as,
      cursor: cursorOf(this.#log.epoch, cursor),
      lag: this.#publisher.head - cursor,
      isConnected: following !== undefined,
      parked: parked.size,
    }));
    return { ok: true, followers };
  }

  /** For `hub:forget`. */
  async forget(socket: HubSocket, message: unknown): Promise<DoneReply> {
    const follower = await this.#named(socket, message);
    if (typeof follower === "string") return refused(follower);
    follower.forgetting ??= this.#forget(follower).finally(() => delete follower.forgetting);
    await follower.forgetting;
    return { ok: true };
  }

  /** Rejects where the log refuses: then the name stays, and who follows under it is told to do so again. */
  async #forget(follower: Follower): Promise<void> {
    const { name, as, parked, following } = follower;
    stopFollowing(follower);
    const tell = (who: Following | undefined, code: ErrorCode) =>
      who?.socket.emit("hub:unfollowed", { as, error: errorBody(code) });
    const records = [...parked.keys()].map((offset) => ({ name: parkedRecord(name, offset), value: null }));
    try {
      await this.#publisher.record([{ name: cursorRecord(name), value: null }, ...records], follower);
    } catch (error) {
      tell(following, "LOG_FAILED");
      throw error;
    }
    this.#followers.delete(name);
    for (const offset of [...parked.keys()]) this.#keep(follower, offset, undefined);
    for (const one of [following, follower.following]) tell(one, "FOLLOWER_UNKNOWN");
    stopFollowing(follower); // who came meanwhile
  }

  /** For `hub:parked`: as many as one message takes. */
  async parked(socket: HubSocket, message: unknown): Promise<ParkedReply> {
    const request = List.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const { as, after } = request.data;
    const follower = await this.#named(socket, { as });
    if (typeof follower === "string") return refused(follower);
    const later = [...follower.parked.values()].filter(({ offset }) => offset > after);
    const parked: Parked[] = [];
    let length = 0;
    for (const one of later.sort((a, b) => a.offset - b.offset)) {
      length += textOf(one).length;
      if (parked.length > 0 && length > this.#limits.messageBytes) break;
      parked.push({ ...one, event: this.#eventOf(one, socket) });
    }
    return { ok: true, parked };
  }

  /** For `hub:redrive`. */
  async redrive(socket: HubSocket, message: unknown): Promise<DoneReply> {
    const request = Redrive.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const follower = await this.#named(socket, { as: request.data.as });
    if (typeof follower === "string") return refused(follower);
    const parked = follower.parked.get(request.data.offset);
    const event = parked === undefined ? null : this.#eventOf(parked, socket);
    if (parked === undefined || event === null) return refused("NOT_PARKED");
    const { following } = follower;
    if (following === undefined || isOver(following.socket)) return refused("FOLLOWER_AWAY");
    const delivery = { as: follower.as, events: [event] };
    following.unanswered.deliver(`redriven ${parked.offset}`, delivery, (reply) => {
      this.#redriven(follower, following, parked, reply).catch((error) =>
        this.#end(follower, following, error),
      );
    });
    return { ok: true };
  }

  /** How many places of the log each connection that follows is behind: under the name that is furthest. */
  lags(): ReadonlyMap<HubSocket, number> {
    const lags = new Map<HubSocket, number>();
    for (const { cursor, following } of this.#followers.values()) {
      if (following === undefined) continue;
      const { socket } = following;
      lags.set(socket, Math.max(lags.get(socket) ?? 0, this.#publisher.head - cursor));
    }
    return lags;
  }

  /** The log has grown. */
  grown(): void {
    for (const follower of this.#followers.values()) {
      if (follower.following !== undefined) this.#happened(follower, follower.following, { kind: "grown" });
    }
  }

  /** The socket is gone. */
  leave(socket: HubSocket): void {
    for (const follower of this.#ofSocket(socket)) {
      if (follower.following?.socket === socket) stopFollowing(follower);
    }
  }

  #happened(follower: Follower, following: Following, input: FollowerInput): void {
    if (follower.following !== following) return;
    const [state, effects] = stepFollower(following.state, input, this.#publisher.head);
    following.state = state;
    follower.cursor = state.cursor;
    // It may be a second behind after a crash: what was handled since then comes again.
    if (effects.save) this.#publisher.recordLazily(this.#cursorChange(follower));
    if (effects.read) {
      this.#deliverNext(follower, following).catch((error) => this.#end(follower, following, error));
    }
  }

  /** The log does not answer. The satellite follows again. */
  #end(follower: Follower, following: Following, error: unknown): void {
    this.#logger.error({ err: error, follower: follower.name }, "the log failed a follower");
    if (follower.following !== following) return;
    stopFollowing(follower);
    following.socket.emit("hub:unfollowed", { as: follower.as, error: errorBody("LOG_FAILED") });
  }

  async #deliverNext(follower: Follower, following: Following): Promise<void> {
    const { position } = following.state;
    const { socket } = following;
    const isBehind = () => socket.connected && unsentBytes(socket.conn) > this.#limits.unsentBytes;
    if (isBehind()) await whenDrained(socket.conn); // who does not read needs no turn
    const read = () => this.#reader.read(position, following.filter, "batched");
    const send = async (page: ReadTexts) => {
      // Else each of its followers would have some pages on their way to a satellite that does not read.
      while (isBehind()) await whenDrained(socket.conn);
      await this.#deliver(follower, following, position, page);
    };
    // Who is live does not wait for those that are not.
    if (this.#reader.isLive(position)) await send(await read());
    else await this.#turns.take(read, send);
  }

  async #deliver(
    follower: Follower,
    following: Following,
    position: number,
    { texts, through, missingThrough }: ReadTexts,
  ): Promise<void> {
    const { socket, filter } = following;
    if (follower.following !== following || isOver(socket)) return;
    const { as } = follower;
    this.#reader.readAhead(through, filter, "batched");
    const isGap = missingThrough !== undefined;
    if (isGap) {
      const { epoch } = this.#log;
      const [after, until] = [cursorOf(epoch, position), cursorOf(epoch, missingThrough)];
      socket.emit("hub:gap", { reason: "retention", after, until, as });
    }
    // A gap has an answer too, if only to a delivery of nothing: the cursor does not move past it before it was told.
    const isEmpty = texts.length === 0 && !isGap;
    if (!isEmpty) {
      const packet = new PacketText(`["hub:deliver",{"as":"${as}","events":[${texts.join(",")}]}]`);
      following.unanswered.deliver(`through ${through}`, packet, (reply) => {
        this.#answered(follower, following, position, through, reply).catch((error) => {
          this.#end(follower, following, error);
        });
      });
    }
    this.#happened(follower, following, { kind: "page", through, isEmpty });
    await whenDrained(socket.conn);
  }

  async #answered(
    follower: Follower,
    following: Following,
    after: number,
    through: number,
    reply: DeliveryReply,
  ): Promise<void> {
    const answer = Answer.safeParse(reply);
    if (!answer.success || follower.following !== following) return;
    const { parked = [] } = answer.data;
    // Whoever parks what was not delivered could read the log that way, and who parks it many times, fill the disk.
    if (parked.some(({ offset }) => offset <= after || offset > through)) return;
    if (new Set(parked.map(({ offset }) => offset)).size < parked.length) return;
    // What is parked must be on disk before the cursor moves past it.
    for (const failure of parked) if (!(await this.#park(follower, following, failure))) return;
    this.#happened(follower, following, { kind: "handled", through });
  }

  async #redriven(
    follower: Follower,
    following: Following,
    { offset }: Parked,
    reply: DeliveryReply,
  ): Promise<void> {
    const answer = Answer.safeParse(reply);
    if (!answer.success) return;
    const [failure] = answer.data.parked ?? [];
    if (failure !== undefined) {
      await this.#park(follower, following, { ...failure, offset });
      return;
    }
    this.#keep(follower, offset, undefined);
    await this.#publisher.record([{ name: parkedRecord(follower.name, offset), value: null }], follower);
  }

  /** Whether it is parked. Where there is no room for it the follower has ended. */
  async #park(
    follower: Follower,
    following: Following,
    {
      offset,
      attempts,
      error,
    }: { readonly offset: number; readonly attempts: number; readonly error: string },
  ): Promise<boolean> {
    const known = follower.parked.get(offset)?.event;
    const event = known ?? (await this.#reader.entryAt(offset, following.filter)) ?? null;
    if (follower.following !== following) return false; // meanwhile, or while another one was written
    if ((this.#parkedLengths.get(ownerOf(follower)) ?? 0) > this.#limits.parkedBytes) {
      this.#stop(follower, following);
      return false;
    }
    const parked: Parked = {
      offset,
      attempts,
      error: error.slice(0, errorLength),
      time: new Date().toISOString(),
      event,
    };
    const before = follower.parked.get(offset);
    this.#keep(follower, offset, parked); // so that who forgets the name removes it from the disk, too
    try {
      await this.#write(follower, following.socket, {
        name: parkedRecord(follower.name, offset),
        value: textOf(parked),
      });
    } catch (failure) {
      if (this.#followers.get(follower.name) === follower) this.#keep(follower, offset, before);
      throw failure;
    }
    return true;
  }

  /** As what its satellite says: it counts, and has its share of a commit. What of the follower is written later does not overtake it. */
  async #write(
    follower: Follower,
    socket: HubSocket,
    change: { readonly name: string; readonly value: string },
  ) {
    const arrive = this.#meter.repeat(socket, change.value.length);
    try {
      await this.#publisher.commit([], [change], { source: socket, order: follower, leads: true });
    } finally {
      arrive();
    }
  }

  #keep(follower: Follower, offset: number, parked: Parked | undefined): void {
    const lengthOf = (one: Parked | undefined) => (one === undefined ? 0 : textOf(one).length);
    const owner = ownerOf(follower);
    const before = this.#parkedLengths.get(owner) ?? 0;
    const length = before + lengthOf(parked) - lengthOf(follower.parked.get(offset));
    if (length === 0) this.#parkedLengths.delete(owner);
    else this.#parkedLengths.set(owner, length);
    follower.parked.delete(offset);
    if (parked !== undefined) follower.parked.set(offset, parked);
  }

  /** Its satellite has parked too much: what it was delivered last comes again when it follows again. */
  #stop(follower: Follower, { socket }: Following): void {
    stopFollowing(follower);
    socket.emit("hub:unfollowed", { as: follower.as, error: errorBody("PARKED_TOO_MANY") });
  }

  /** Those that are being made count, too: many may be asked for at once. */
  #hasRoomFor(name: string, socket: HubSocket): boolean {
    if (this.#making.has(name)) return true;
    const prefix = this.#nameOf(socket, "");
    const making = [...this.#making.keys()].filter((one) => one.startsWith(prefix));
    return this.#ofSocket(socket).length + making.length < this.#limits.followers;
  }

  /** Two connections may ask at once: they get the same one. */
  #create(name: string, as: string, cursor: number): Promise<Follower> {
    const known = this.#making.get(name);
    if (known !== undefined) return known;
    const making = this.#make(name, as, cursor).finally(() => this.#making.delete(name));
    this.#making.set(name, making);
    return making;
  }

  async #make(name: string, as: string, cursor: number): Promise<Follower> {
    const follower: Follower = { name, as, cursor, parked: new Map() };
    await this.#publisher.record([this.#cursorChange(follower)]);
    this.#followers.set(name, follower);
    return follower;
  }

  async #named(socket: HubSocket, message: unknown): Promise<Follower | ErrorCode> {
    const request = Named.safeParse(message);
    if (!request.success) return "MESSAGE_INVALID";
    await this.#load();
    return this.#followers.get(this.#nameOf(socket, request.data.as)) ?? "FOLLOWER_UNKNOWN";
  }

  /** Reads once what an earlier run of the hub has kept. */
  #load(): Promise<void> {
    this.#loaded ??= this.#loadAll().catch((error) => {
      this.#loaded = undefined; // the next one tries again
      throw error;
    });
    return this.#loaded;
  }

  async #loadAll(): Promise<void> {
    const prefix = `${this.#contract.name}/`;
    for (const [record, value] of await this.#log.records(cursorRecord(prefix))) {
      const name = record.slice(cursorRecord("").length);
      const as = name.slice(name.lastIndexOf("/") + 1);
      const { cursor } = JSON.parse(value);
      this.#followers.set(name, { name, as, cursor, parked: new Map() });
    }
    for (const [record, value] of await this.#log.records(parkedRecord(prefix))) {
      const name = record.slice(parkedRecord("").length, record.lastIndexOf("/"));
      const parked: Parked = JSON.parse(value);
      const follower = this.#followers.get(name);
      if (follower !== undefined) this.#keep(follower, parked.offset, parked);
    }
  }

  /** Null where the satellite may not hear it any more. */
  #eventOf({ event }: Parked, socket: HubSocket): Parked["event"] {
    return event !== null && mayHear(this.#contract, socket.data.identity, event) ? event : null;
  }

  #cursorChange({ name, cursor }: Follower): RecordChange {
    return { name: cursorRecord(name), value: JSON.stringify({ cursor }) };
  }

  #nameOf(socket: HubSocket, as: string): string {
    return `${this.#contract.name}/${nameOf(socket.data.identity)}/${as}`;
  }

  #ofSocket(socket: HubSocket): Follower[] {
    const prefix = this.#nameOf(socket, "");
    return [...this.#followers.values()].filter(({ name }) => name.startsWith(prefix));
  }
}

/** What was delivered and not answered is delivered to whoever follows next. */
function stopFollowing(follower: Follower): void {
  follower.following?.unanswered.end();
  delete follower.following;
}

/** `<contract>/<role>:<id>`. */
const ownerOf = ({ name }: Follower): string => name.slice(0, name.lastIndexOf("/"));

const textOf = (parked: Parked): string => JSON.stringify(parked);
const cursorRecord = (name: string): string => `follower/${name}`;
const parkedRecord = (name: string, offset?: number): string =>
  offset === undefined ? `parked/${name}` : `parked/${name}/${offset}`;
