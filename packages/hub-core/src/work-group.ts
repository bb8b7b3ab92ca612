import {
  type Accepted,
  type Claim,
  type ClaimToken,
  type Contract,
  type HeardEntry,
  nameOf,
  OrreryError,
} from "@orrery/contracts";
import type { Filter, NewEvent, RecordChange } from "@orrery/event-log";
import type { HubSocket } from "./audience.ts";
import type { Change } from "./claim-outcome.ts";
import { type ClaimRecord, claimText } from "./claim-record.ts";
import { Claims, type HandOver, type Joining } from "./claims.ts";
import { cursorOf } from "./cursor.ts";
import type { LogReader } from "./log-reader.ts";
import type { Logger } from "./logger.ts";
import type { Publisher } from "./publish.ts";
import { type WorkFact, workEvent } from "./work-fact.ts";

/** What is kept of a group beside its claims. */
export interface GroupRecord {
  readonly role: string;
  /** Of the satellite that named it first: what is its own, is the group's. */
  readonly id: string;
  readonly group: string;
  readonly events: readonly string[];
  readonly rooms?: readonly string[] | undefined;
  /** Everything up to it was looked at. */
  readonly position: number;
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
  readonly graceMs: number;
  readonly mostWaiting: number;
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
  readonly receipts: Promise<readonly Accepted[]>;
}

/** Settles that are remembered, at most twice so many. */
const remembered = 5_000;
/** Before a round that the log refused is tried again. Milliseconds. */
const restMs = 1_000;
/** A longer timer fires at once. Milliseconds. */
const longestTimeoutMs = 2 ** 31 - 1;

/**
 * One group at work: reads the log as far as members have room, hands events over, and takes them back. What it says to a
 * member is on disk by then. The rules are in `Claims`; here are the clock, the timer, the log and the sockets.
 */
export class WorkGroup {
  /** `<contract>/<role>/<group>`: part of the names of its records. */
  readonly name: string;
  readonly filter: Filter;
  #record: GroupRecord;
  readonly #tools: GroupTools;
  readonly #claims: Claims;
  readonly #rules: { attempts: number; backoffMs: number; graceMs: number; mostWaiting: number };
  readonly #sockets = new Map<string, HubSocket>();
  /** Ids of the events that are held, by their offsets. */
  readonly #ids = new Map<number, string>();
  /** Of the page that was read last, what was not looked at yet. */
  #page: { readonly entries: readonly HeardEntry[]; readonly through: number; next: number } | undefined;
  /** Events that were looked at since the last round. */
  readonly #fresh = new Map<number, HeardEntry>();
  /** What was settled just now, by its token. */
  #settled = new Map<number, Settled>();
  #settledBefore: ReadonlyMap<number, Settled> = new Map();
  /** What is to be told of, with the next round. */
  #facts: NewEvent[] = [];
  #isRunning = false;
  #isDue = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    name: string,
    record: GroupRecord,
    filter: Filter,
    claims: readonly ClaimRecord[],
    tools: GroupTools,
  ) {
    this.name = name;
    this.filter = filter;
    this.#record = record;
    this.#tools = tools;
    const { attempts, backoffMs } = record;
    const { graceMs, mostWaiting } = tools;
    this.#rules = { attempts, backoffMs, graceMs, mostWaiting };
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
      const entry = await this.#entryAt(offset);
      if (entry !== undefined) this.#ids.set(offset, entry[2].id);
    }
    this.pump();
  }

  join(socket: HubSocket, joining: Omit<Joining, "id">, rules: { attempts: number; backoffMs: number }) {
    Object.assign(this.#rules, rules);
    this.#sockets.set(socket.id, socket);
    const lost = this.#claims.join({ ...joining, id: socket.id }, Date.now());
    setImmediate(() => this.pump()); // claims come after the reply
    return lost;
  }

  leave(socket: HubSocket): void {
    if (!this.#sockets.delete(socket.id)) return;
    this.#claims.leave(socket.id, Date.now());
    this.pump();
  }

  hold(socket: HubSocket, claims: readonly ClaimToken[]): readonly number[] {
    return this.#claims.hold(socket.id, claims, Date.now());
  }

  /** The id of the event that the satellite works on; undefined where it is not its own any more. */
  causeOf(socket: HubSocket, claim: ClaimToken): string | undefined {
    return this.#claims.isCurrent(socket.id, claim, Date.now()) ? this.#ids.get(claim.offset) : undefined;
  }

  /**
   * Ends a claim and says what came of it, in one commit. Answers with the receipts of `events`; undefined where the claim is
   * not the satellite's. Rejects where the log refuses, or one of the events is `ID_REUSED`: then it is held as before. Said
   * again while it is written, or soon after, since the answer got lost, it has the same answer.
   */
  settle(
    socket: HubSocket,
    claim: Parameters<Claims["settle"]>[1],
    events: readonly NewEvent[],
  ): Promise<readonly Accepted[]> | undefined {
    const said = this.#saidOf(socket, claim);
    if (said !== undefined) return said.receipts;
    const change = this.#claims.settle(socket.id, claim, Date.now());
    if (change === undefined) return undefined;
    const receipts = this.#write(change, this.#ids.get(change.offset), events).then((all) =>
      all.slice(0, events.length),
    );
    this.#remember(claim.token, { by: change.by, receipts });
    return receipts;
  }

  /** Whether it has settled that, and may not know yet. */
  hasSettled(socket: HubSocket, claim: ClaimToken): boolean {
    return this.#saidOf(socket, claim) !== undefined;
  }

  /** Gives a dead event a new life, or forgets it. Whether it was dead. */
  async endDeath(how: "redrive" | "drop", offset: number): Promise<boolean> {
    const id = (await this.#entryAt(offset))?.[2].id;
    const change = this.#claims[how](offset);
    if (change === undefined) return false;
    await this.#write(change, id, []);
    return true;
  }

  /** Does what there is to do now: once, however often it is asked in one turn. */
  pump(): void {
    this.#isDue = true;
    if (this.#isRunning || this.#tools.isClosing()) return;
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

  /** Nothing is handed over any more. */
  end(): void {
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    while (this.#isDue && !this.#tools.isClosing()) {
      this.#isDue = false;
      this.#expire();
      await this.#look();
      await this.#round();
    }
    const { nextMs } = this.#claims;
    if (nextMs !== undefined) this.#wakeIn(Math.max(1, nextMs - Date.now()));
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.pump(), Math.min(ms, longestTimeoutMs));
    this.#timer.unref();
  }

  #expire(): void {
    for (const change of this.#claims.expire(Date.now())) {
      this.#tell(change, this.#ids.get(change.offset));
      this.#ids.delete(change.offset);
      const socket = change.member === undefined ? undefined : this.#sockets.get(change.member);
      socket?.emit("hub:lost", { group: this.#record.group, offsets: [change.offset] });
    }
  }

  /** Looks at as much of the log as members have room for. */
  async #look(): Promise<void> {
    while (this.#claims.wantsMore) {
      this.#page ??= await this.#nextPage();
      if (this.#page === undefined) return;
      const { entries, next, through } = this.#page;
      const entry = entries[next];
      if (entry === undefined) {
        this.#claims.lookedThrough(through);
        this.#page = undefined;
        continue;
      }
      this.#page.next += 1;
      const { offset = 0, subject } = entry[2];
      this.#claims.look(offset, entry[0], subject);
      this.#fresh.set(offset, entry);
    }
  }

  async #nextPage() {
    const { publisher, reader, epoch } = this.#tools;
    const { position } = this.#claims;
    if (position >= publisher.head) return undefined;
    const { texts, through, missingThrough } = await reader.read(position, this.filter, "plain");
    if (missingThrough !== undefined) {
      const [after, until] = [cursorOf(epoch, position), cursorOf(epoch, missingThrough)];
      const gap = { reason: "retention", after, until, group: this.#record.group } as const;
      for (const socket of this.#sockets.values()) socket.emit("hub:gap", gap);
    }
    return { entries: texts.map((text): HeardEntry => JSON.parse(text)), through, next: 0 };
  }

  async #round(): Promise<void> {
    const round = this.#claims.handOver(Date.now());
    if (round === undefined) return;
    const facts = this.#facts.splice(0);
    const { position, token, records } = round;
    this.#record = { ...this.record, position, token };
    const changes: RecordChange[] = [
      { name: groupRecord(this.name), value: JSON.stringify(this.#record) },
      ...records.map((record) => ({
        name: claimRecord(this.name, record.offset),
        value: claimText(record),
      })),
    ];
    try {
      await this.#tools.publisher.commit(facts, changes);
    } catch (error) {
      this.#claims.abortRound();
      this.#facts.unshift(...facts);
      throw error;
    }
    const given = this.#claims.commitRound(Date.now());
    this.#isDue ||= given.length < round.claims.length;
    await this.#send(given);
    this.#fresh.clear();
  }

  async #send(given: readonly HandOver[]): Promise<void> {
    const bySocket = new Map<HubSocket, Claim[]>();
    for (const handedOver of given) {
      const { offset, token, attempt, leaseMs, deadBefore, member } = handedOver;
      const entry = this.#fresh.get(offset) ?? (await this.#entryAt(offset));
      const socket = this.#sockets.get(member);
      if (socket === undefined) continue; // gone just now: it comes back by the grace
      if (entry === undefined) {
        await this.#bury(socket, handedOver);
        continue;
      }
      const [event, data, meta] = entry;
      this.#ids.set(offset, meta.id);
      const claim: Claim = { offset, token, leaseMs, event: [event, data, { ...meta, attempt }] };
      const claims = bySocket.get(socket) ?? [];
      claims.push(deadBefore.length === 0 ? claim : { ...claim, deadBefore });
      bySocket.set(socket, claims);
    }
    const { group } = this.#record;
    for (const [socket, claims] of bySocket) socket.emit("hub:claims", { group, claims });
  }

  /** Retention has taken what was to be worked on. */
  async #bury(socket: HubSocket, { offset, token }: HandOver): Promise<void> {
    const error = "Retention has taken the event.";
    await this.settle(socket, { offset, token, outcome: "dead", error }, []);
  }

  async #write(change: Change, id: string | undefined, events: readonly NewEvent[]) {
    const { offset, record } = change;
    const value = record === null ? null : claimText(record);
    const fact = this.#factOf(change, id);
    try {
      const all = fact === undefined ? events : [...events, fact];
      const receipts = await this.#tools.publisher.commit(all, [
        { name: claimRecord(this.name, offset), value },
      ]);
      this.#claims.commit(change);
      this.#ids.delete(offset);
      this.pump();
      return receipts;
    } catch (error) {
      this.#claims.abort(change);
      this.pump();
      throw error instanceof OrreryError ? error : new OrreryError("LOG_FAILED", { cause: error });
    }
  }

  #saidOf(socket: HubSocket, { token }: ClaimToken): Settled | undefined {
    const said = this.#settled.get(token) ?? this.#settledBefore.get(token);
    return said?.by === nameOf(socket.data.identity) ? said : undefined;
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

  async #entryAt(offset: number): Promise<HeardEntry | undefined> {
    const text = await this.#tools.reader.at(offset);
    return text === undefined ? undefined : JSON.parse(text);
  }
}
