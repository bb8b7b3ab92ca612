import {
  type Accepted,
  type ClaimToken,
  type Contract,
  errorBody,
  nameOf,
  OrreryError,
} from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import { type Filter, metaOf, type NewEvent, type RecordChange, withAttempt } from "@orrery/event-log";
import type { Claimed } from "./admit.ts";
import type { HubSocket } from "./audience.ts";
import type { LeftBehind } from "./claim-behind.ts";
import {
  type AllTogether,
  areWaitedFor,
  type Change,
  type ClaimRules,
  type Together,
} from "./claim-outcome.ts";
import { type ClaimRecord, claimText } from "./claim-record.ts";
import { Claims, type HandOver, type Joining, mostExpired, mostGiven, type Seen } from "./claims.ts";
import { unsentBytes, whenDrained, whenOver } from "./connection.ts";
import { cursorOf } from "./cursor.ts";
import type { Limits } from "./limits.ts";
import type { LogReader } from "./log-reader.ts";
import type { Logger } from "./logger.ts";
import type { Meter } from "./meter.ts";
import type { Publisher } from "./publish.ts";
import { isOver } from "./session.ts";
import { type WorkFact, workEvent } from "./work-fact.ts";

/** What is kept of a group beside its claims. */
export interface GroupRecord {
  readonly role: string;
  /** Of the satellite that named it first: what is its own, is the group's. */
  readonly id: string;
  readonly group: string;
  readonly events: readonly string[];
  readonly rooms?: readonly string[] | undefined;
  /** Everything up to it was looked at, but for what is `behind`. */
  readonly position: number;
  /** Missing: nothing, as before there was a bound for what waits of a key. */
  readonly behind?: readonly LeftBehind[];
  /** The highest that was given. */
  readonly token: number;
  readonly attempts: number;
  readonly backoffMs: number;
}

/** What all groups of a contract work with. */
export interface GroupTools {
  readonly contract: Contract;
  readonly epoch: string;
  readonly publisher: Publisher;
  readonly reader: LogReader;
  readonly logger: Logger;
  readonly limits: Limits;
  readonly meter: Pick<Meter, "lose" | "lossWaitMs">;
  /** Counts all claims. */
  readonly claims: AllTogether;
  /** Groups may look at more of the log: there are fewer claims. */
  readonly onRoom: () => void;
  readonly nextId: () => string;
  readonly isClosing: () => boolean;
}

export const groupRecord = (name: string): string => `work/${name}`;
export const claimRecord = (name: string, offset?: number): string =>
  offset === undefined ? `claim/${name}/` : `claim/${name}/${offset}`;

/** The end of a claim that is on disk, or on its way there. */
interface Settled {
  /** The satellite that said it. */
  readonly by: string;
  /** What it said: who says something else later, is not answered as if that had happened. */
  readonly said: string;
  readonly receipts: Promise<readonly Accepted[]>;
}

/** An event as satellites hear it. */
interface Fresh {
  readonly id: string;
  readonly text: string;
}

/** Settles that are remembered, at most twice so many. */
const remembered = 5_000;
/** Texts that are kept from the look to the hand-over. UTF-16 units. */
const mostFreshLength = 4_000_000;
/** Before a round that the log refused is tried again. Milliseconds. */
const restMs = 1_000;
/** A longer timer fires at once. Milliseconds. */
const longestTimeoutMs = 2 ** 31 - 1;

/**
 * One group at work: reads the log as far as members have room, hands events over, and takes them back. What it says to a
 * member is on disk by then. The rules are in `Claims`; here are the clock, the timer, the log and the sockets.
 */
export class WorkGroup {
  /** `<contract>/<role>/<group>`, or `<contract>/<role>:<id>/<group>` where it is one satellite's: part of its records' names. */
  readonly name: string;
  readonly filter: Filter;
  readonly together: Together;
  #record: GroupRecord;
  readonly #tools: GroupTools;
  readonly #claims: Claims;
  readonly #rules: ClaimRules & { attempts: number; backoffMs: number };
  readonly #sockets = new Map<string, HubSocket>();
  /** Those of them that are given nothing for now. */
  readonly #passedOver = new Set<HubSocket>();
  /** Ids of the events that are held, by their offsets. */
  readonly #ids = new Map<number, string>();
  /** Of the page that was read last, what was not looked at yet. */
  #page: { readonly texts: readonly string[]; readonly through: number; next: number } | undefined;
  /** The page that was looked at again last. */
  #again:
    | { readonly after: number; readonly through: number; readonly seen: readonly (Seen & Fresh)[] }
    | undefined;
  /** What was looked at and is not handed over yet; others are read again. */
  readonly #fresh = new Map<number, Fresh>();
  #freshLength = 0;
  /** What was settled just now, by its token. */
  #settled = new Map<number, Settled>();
  #settledBefore: ReadonlyMap<number, Settled> = new Map();
  /** What is settled, redriven or dropped and not on disk yet. What members settle has its share of a commit: rounds may overtake it. */
  readonly #writes = new Set<Promise<unknown>>();
  /** What is to be told of, with the next round. */
  #facts: NewEvent[] = [];
  #isRunning = false;
  #isDue = false;
  #hasEnded = false;
  #forgetting: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    name: string,
    record: GroupRecord,
    filter: Filter,
    claims: readonly ClaimRecord[],
    together: Together,
    tools: GroupTools,
  ) {
    this.name = name;
    this.filter = filter;
    this.together = together;
    this.#record = record;
    this.#tools = tools;
    const { attempts, backoffMs } = record;
    const { limits } = tools;
    this.#rules = {
      attempts,
      backoffMs,
      graceMs: limits.graceMs,
      mostWaiting: limits.groupWaiting,
      mostOfKey: limits.keyWaiting,
      mostBehind: limits.keysPassedOver,
      mostBehindLength: limits.keysPassedOverLength,
      mostDead: limits.groupDead,
      together,
    };
    this.#claims = new Claims(this.#rules, Math.random, record, claims);
  }

  /** As it is to be kept. */
  get record(): GroupRecord {
    const { attempts, backoffMs } = this.#rules;
    return { ...this.#record, attempts, backoffMs };
  }

  get claims(): Claims {
    return this.#claims;
  }

  /** Reads, once, the ids of what is held, of which after a restart there are just the offsets. */
  async load(held: Iterable<number>): Promise<void> {
    for (const offset of held) {
      const event = await this.#eventAt(offset);
      if (event !== undefined) this.#ids.set(offset, event.id);
    }
    this.pump();
  }

  join(socket: HubSocket, joining: Omit<Joining, "id">, rules: { attempts: number; backoffMs: number }) {
    Object.assign(this.#rules, rules);
    this.#sockets.set(socket.id, socket);
    const lost = this.#claims.join({ ...joining, id: socket.id }, Date.now());
    if (this.#passedOver.has(socket)) this.#claims.passOver(socket.id);
    setImmediate(() => this.pump()); // claims come after the reply
    return lost;
  }

  leave(socket: HubSocket): void {
    if (!this.#sockets.delete(socket.id)) return;
    this.#claims.leave(socket.id, Date.now());
    this.pump();
  }

  hold(socket: HubSocket, claims: readonly ClaimToken[]): readonly number[] {
    const lost = this.#claims.hold(socket.id, claims, Date.now());
    this.pump(); // it has spoken, and may be given something again
    return lost;
  }

  /** For what is said under the claim; undefined where it is not the satellite's any more. */
  claimed(socket: HubSocket, claim: ClaimToken): Claimed | undefined {
    const { offset } = claim;
    const cause = this.#hasEnded ? undefined : this.#ids.get(offset);
    if (cause === undefined || !this.#claims.isCurrent(socket.id, claim, Date.now())) return undefined;
    return { cause, idScope: `${this.name}/${offset}` };
  }

  /**
   * Ends a claim and says what came of it, in one commit. Answers with the receipts of `events`; undefined where the claim is
   * not the satellite's. Rejects where the log refuses, or one of the events is `ID_REUSED`: then it is held as before. `said`: by
   * which it is known when it comes again.
   */
  settle(
    socket: HubSocket,
    claim: Parameters<Claims["settle"]>[1],
    events: readonly NewEvent[],
    said: string,
  ): Promise<readonly Accepted[]> | undefined {
    const change = this.#claims.settle(socket.id, claim, Date.now());
    if (change === undefined) return undefined;
    const receipts = this.#write(change, this.#ids.get(change.offset), events, socket).then((all) =>
      all.slice(0, events.length),
    );
    this.#remember(claim.token, { by: change.by, said, receipts });
    return receipts;
  }

  /** The answer again, while that is written or soon after, since it may have got lost. Undefined: it has not settled that. */
  settledBefore(socket: HubSocket, token: number, said: string): Settled["receipts"] | undefined {
    const settled = this.#settled.get(token) ?? this.#settledBefore.get(token);
    const isSame = settled?.by === nameOf(socket.data.identity) && settled.said === said;
    return isSame ? settled.receipts : undefined;
  }

  /** Gives a dead event a new life, or forgets it. Whether it was dead. */
  async endDeath(how: "redrive" | "drop", offset: number): Promise<boolean> {
    const event = await this.#eventAt(offset);
    const change = this.#hasEnded ? undefined : this.#claims[how](offset);
    if (change === undefined) return false;
    await this.#write(change, event?.id, []);
    return true;
  }

  /** Does what there is to do now: once, however often it is asked in one turn. */
  pump(): void {
    this.#isDue = true;
    if (this.#isRunning || this.#hasEnded || this.#tools.isClosing()) return;
    this.#isRunning = true;
    this.#run().then(
      () => {
        this.#isRunning = false;
        if (this.#isDue) this.pump();
      },
      (error) => {
        this.#isRunning = false;
        this.#tools.logger.error({ err: error, group: this.name }, "the log failed a group");
        this.#wakeIn(restMs);
      },
    );
  }

  /** Nothing is handed over or settled any more. Resolves when what was settled before is on disk. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    await Promise.allSettled(this.#writes);
  }

  /** Ends it, removes all that is kept of it, and tells its members. Rejects where the log refuses: then it goes on. */
  forget(): Promise<void> {
    this.#forgetting ??= this.#forget().finally(() => (this.#forgetting = undefined));
    return this.#forgetting;
  }

  async #forget(): Promise<void> {
    await this.end();
    const claims = Array.from(this.#claims.offsets, (offset) => claimRecord(this.name, offset));
    const gone = [groupRecord(this.name), ...claims].map((name) => ({ name, value: null }));
    try {
      await this.#tools.publisher.record(gone, this);
    } catch (error) {
      this.#hasEnded = false;
      this.pump();
      throw error;
    }
    this.#claims.forget();
    const { group } = this.#record;
    for (const socket of this.#sockets.values()) {
      socket.emit("hub:unworked", { group, error: errorBody("GROUP_UNKNOWN") });
    }
    this.#sockets.clear();
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    while (this.#isDue && !this.#hasEnded && !this.#tools.isClosing()) {
      this.#isDue = false;
      this.#expire();
      await this.#look();
      await this.#round();
    }
    const { nextMs } = this.#claims;
    if (nextMs !== undefined && !this.#hasEnded) this.#wakeIn(Math.max(1, nextMs - Date.now()));
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.pump(), Math.min(ms, longestTimeoutMs));
    this.#timer.unref();
  }

  #expire(): void {
    const changes = this.#claims.expire(Date.now());
    this.#isDue ||= changes.length === mostExpired;
    const lost = new Map<HubSocket, number[]>();
    for (const change of changes) {
      const { offset, member, by, isLoss } = change;
      this.#tell(change, this.#ids.get(offset));
      this.#ids.delete(offset);
      if (isLoss) this.#tools.meter.lose(`${this.#tools.contract.name} ${by}`);
      const socket = member === undefined ? undefined : this.#sockets.get(member);
      if (socket !== undefined) lost.set(socket, [...(lost.get(socket) ?? []), offset]);
    }
    for (const [socket, offsets] of lost) socket.emit("hub:lost", { group: this.#record.group, offsets });
  }

  /**
   * Looks at as much of the log as members have room for, again at what was passed over and on from the position in turns. What
   * there is after a page of each is handed over before the next.
   */
  async #look(): Promise<void> {
    do {
      const hasLookedAgain = await this.#lookAgain();
      const hasLookedOn = await this.#lookOn();
      if (!hasLookedAgain && !hasLookedOn) return;
    } while (!this.#claims.hasReady);
    this.#isDue = true;
  }

  async #lookAgain(): Promise<boolean> {
    const after = this.#claims.wantsAgainAfter;
    if (after === undefined) {
      if (this.#claims.lookedAtAllThrough === this.#claims.position) this.#again = undefined;
      return false;
    }
    const { seen, through } = await this.#pageAgain(after);
    const behind = seen.filter(({ offset }) => offset > after);
    for (const found of this.#claims.lookAgain(after, through, behind)) this.#keepFresh(found);
    return true;
  }

  /** Where there is little room it is looked at for one event after the other. */
  async #pageAgain(after: number) {
    if (this.#again === undefined || after < this.#again.after || after >= this.#again.through) {
      const { texts, through } = await this.#read(after);
      this.#again = { after, through, seen: texts.map(seenOf) };
    }
    return this.#again;
  }

  async #lookOn(): Promise<boolean> {
    if (!this.#claims.wantsMore) return false;
    this.#page ??= await this.#nextPage();
    if (this.#page === undefined) return false;
    const { texts, through } = this.#page;
    while (this.#claims.wantsMore) {
      const text = texts[this.#page.next];
      if (text === undefined) {
        this.#claims.lookedThrough(through);
        this.#page = undefined;
        break;
      }
      this.#page.next += 1;
      const seen = seenOf(text);
      if (this.#claims.look(seen.offset, seen.event, seen.key)) this.#keepFresh(seen);
    }
    return true;
  }

  async #nextPage() {
    const { position } = this.#claims;
    if (position >= this.#tools.publisher.head) return undefined;
    return { ...(await this.#read(position)), next: 0 };
  }

  /** A page; members are told what retention has taken before it. */
  async #read(from: number) {
    const { reader, epoch } = this.#tools;
    const { texts, through, missingThrough } = await reader.read(from, this.filter, "plain");
    if (missingThrough !== undefined) {
      const [after, until] = [cursorOf(epoch, from), cursorOf(epoch, missingThrough)];
      const gap = { reason: "retention", after, until, group: this.#record.group } as const;
      for (const socket of this.#sockets.values()) socket.emit("hub:gap", gap);
    }
    return { texts, through };
  }

  async #round(): Promise<void> {
    if (this.#hasEnded) return;
    this.#letGo();
    this.#passOver();
    const round = this.#claims.handOver(Date.now());
    if (round === undefined) return;
    const facts = this.#facts.splice(0);
    const { position, behind, token, records } = round;
    this.#record = { ...this.record, position, behind, token };
    const changes: RecordChange[] = [
      { name: groupRecord(this.name), value: JSON.stringify(this.#record) },
      ...records.map((record) => ({
        name: claimRecord(this.name, record.offset),
        value: claimText(record),
      })),
    ];
    try {
      await this.#tools.publisher.commit(facts, changes, { source: this.together, order: this, leads: true });
    } catch (error) {
      this.#claims.abortRound();
      this.#facts.unshift(...facts);
      throw error;
    }
    this.#letGo();
    const given = this.#claims.commitRound(Date.now());
    this.#isDue ||= given.length < round.claims.length || round.claims.length === mostGiven;
    await this.#send(given);
  }

  /** Members whose session is over are as good as gone. */
  #letGo(): void {
    for (const socket of [...this.#sockets.values()].filter((socket) => isOver(socket))) {
      this.#sockets.delete(socket.id);
      this.#claims.leave(socket.id, Date.now());
    }
  }

  /** Members that do not read what they are sent, or let too much run out, are given nothing more until they have, or that is over. */
  #passOver(): void {
    for (const socket of this.#sockets.values()) {
      if (this.#passedOver.has(socket)) continue;
      const whenFit = this.#whenFit(socket);
      if (whenFit === undefined) continue;
      this.#passedOver.add(socket);
      this.#claims.passOver(socket.id);
      void whenFit.then(() => {
        this.#passedOver.delete(socket);
        this.#claims.passOver(socket.id, false);
        this.pump();
      });
    }
  }

  /** Undefined: now. */
  #whenFit(socket: HubSocket): Promise<void> | undefined {
    const { limits, meter } = this.#tools;
    if (unsentBytes(socket.conn) > limits.unsentBytes) return whenDrained(socket.conn);
    const waitMs = meter.lossWaitMs(socket);
    return waitMs > 0 ? whenOver(socket.conn, waitMs) : undefined;
  }

  async #send(given: readonly HandOver[]): Promise<void> {
    const bySocket = new Map<HubSocket, { texts: string[]; length: number }>();
    for (const handedOver of given) {
      const { offset, member } = handedOver;
      const event = this.#takeFresh(offset) ?? (await this.#eventAt(offset));
      const socket = this.#sockets.get(member);
      if (socket === undefined || isOver(socket)) continue; // gone just now: it comes back by the grace
      if (event === undefined) {
        this.#bury(socket, handedOver);
        continue;
      }
      this.#ids.set(offset, event.id);
      const text = claimTextOf(handedOver, event.text);
      let packet = bySocket.get(socket);
      if (packet !== undefined && packet.length + text.length > this.#tools.limits.messageBytes) {
        this.#emit(socket, packet.texts);
        packet = undefined;
      }
      packet ??= { texts: [], length: 0 };
      packet.texts.push(text);
      packet.length += text.length;
      bySocket.set(socket, packet);
    }
    for (const [socket, { texts }] of bySocket) this.#emit(socket, texts);
  }

  #emit(socket: HubSocket, claims: readonly string[]): void {
    const { group } = this.#record;
    const packet = new PacketText(`["hub:claims",{"group":"${group}","claims":[${claims.join(",")}]}]`);
    socket.emit("hub:claims", packet as never);
  }

  /** Retention has taken what was to be worked on, or the contract is another one than it was, and lets the role hear less. */
  #bury(socket: HubSocket, { offset, token }: HandOver): void {
    if (this.#hasEnded) return;
    const error = "The event is not there any more, or not for this group.";
    const change = this.#claims.settle(socket.id, { offset, token, outcome: "dead", error }, Date.now());
    if (change === undefined) return;
    this.#write(change, undefined, []).catch((failure) =>
      this.#tools.logger.error({ err: failure, group: this.name }, "the log failed a group"),
    );
  }

  async #write(change: Change, id: string | undefined, events: readonly NewEvent[], source?: HubSocket) {
    const { offset, record } = change;
    const value = record === null ? null : claimText(record);
    const fact = this.#factOf(change, id);
    const all = fact === undefined ? events : [...events, fact];
    const changes = [{ name: claimRecord(this.name, offset), value }];
    const committed = this.#tools.publisher.commit(all, changes, {
      source,
      order: this,
      mayBeRefused: source !== undefined,
    });
    this.#writes.add(committed);
    this.pump(); // its room is free
    try {
      const receipts = await committed;
      const isWaitedFor = areWaitedFor(this.together);
      this.#claims.commit(change);
      if (isWaitedFor) this.#tools.onRoom();
      this.#ids.delete(offset);
      this.pump();
      return receipts;
    } catch (error) {
      this.#claims.abort(change);
      this.pump();
      throw error instanceof OrreryError ? error : new OrreryError("LOG_FAILED", { cause: error });
    } finally {
      this.#writes.delete(committed);
    }
  }

  /** What the log refused is forgotten: it can be said again. */
  #remember(token: number, settled: Settled): void {
    if (this.#settled.size >= remembered) {
      this.#settledBefore = this.#settled;
      this.#settled = new Map();
    }
    const all = this.#settled;
    all.set(token, settled);
    settled.receipts.catch(() => all.delete(token));
  }

  #tell(change: Change, id: string | undefined): void {
    const fact = this.#factOf(change, id);
    if (fact !== undefined) this.#facts.push(fact);
  }

  /** For the history of its key; what has no key has none. */
  #factOf({ offset, key, attempt, by, outcome, error }: Change, id = ""): NewEvent | undefined {
    if (key === undefined) return undefined;
    const { group, role } = this.#record;
    const fact: WorkFact = {
      group,
      role,
      offset,
      attempt,
      by,
      outcome,
      ...(error !== undefined && { error }),
    };
    return workEvent(this.#tools.contract, this.#tools.nextId(), key, id, fact, Date.now());
  }

  #keepFresh({ offset, id, text }: Seen & Fresh): void {
    if (this.#freshLength + text.length > mostFreshLength) return;
    this.#fresh.set(offset, { id, text });
    this.#freshLength += text.length;
  }

  #takeFresh(offset: number): Fresh | undefined {
    const fresh = this.#fresh.get(offset);
    if (fresh === undefined) return undefined;
    this.#fresh.delete(offset);
    this.#freshLength -= fresh.text.length;
    return fresh;
  }

  async #eventAt(offset: number): Promise<Fresh | undefined> {
    const text = await this.#tools.reader.at(offset, this.filter);
    return text === undefined ? undefined : { id: metaOf(text).id, text };
  }
}

function seenOf(text: string): Seen & Fresh {
  const { offset = 0, id, type, subject } = metaOf(text);
  return { offset, event: type, key: subject, id, text };
}

/** A `Claim` as JSON. */
function claimTextOf({ offset, token, leaseMs, attempt, deadBefore }: HandOver, event: string): string {
  const dead = deadBefore.length === 0 ? "" : `,"deadBefore":${JSON.stringify(deadBefore)}`;
  return `{"offset":${offset},"token":${token},"leaseMs":${leaseMs},"event":${withAttempt(event, attempt)}${dead}}`;
}
