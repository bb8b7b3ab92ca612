import type { ClaimToken, Outcome } from "@orrery/contracts";
import { Behind, type LeftBehind } from "./claim-behind.ts";
import {
  areTooMany,
  type Change,
  type ClaimRules,
  dropped,
  over,
  redriven,
  settled,
  type Together,
} from "./claim-outcome.ts";
import { ClaimQueue } from "./claim-queue.ts";
import type { ClaimRecord, DeadRecord, HeldRecord, WaitingRecord } from "./claim-record.ts";
import { Unsaved } from "./claim-unsaved.ts";
import { Heap } from "./heap.ts";
import { type Member, Members } from "./members.ts";

/** Who asks to work. */
export interface Joining {
  /** Whatever names the connection. */
  readonly id: string;
  /** `driver:d1`. */
  readonly satellite: string;
  readonly capacity: number;
  readonly leaseMs: number;
  /** What it works on already. */
  readonly held?: readonly ClaimToken[];
}

/** An event of the log, as a group looks at it. */
export interface Seen {
  readonly offset: number;
  readonly event: string;
  readonly key?: string | undefined;
}

/** A claim that is given out. */
export interface HandOver extends ClaimToken {
  readonly event: string;
  readonly key?: string | undefined;
  /** The member's connection. */
  readonly member: string;
  readonly satellite: string;
  readonly attempt: number;
  readonly leaseMs: number;
  /** Offsets of dead events of its key before it, at most the 100 nearest. */
  readonly deadBefore: readonly number[];
}

/** What has to be on disk, in one commit, before any of the claims is sent. There may be none, and only something to write. */
export interface Round {
  /** Of the group from then on: everything up to it was looked at, but for what is `behind`. */
  readonly position: number;
  readonly behind: readonly LeftBehind[];
  /** Of the group from then on: the highest that was given. */
  readonly token: number;
  /** Each takes the place of the one of its offset. */
  readonly records: readonly ClaimRecord[];
  readonly claims: readonly HandOver[];
}

/** A claim whose time was over. */
export interface Expired extends Change {
  /** Of whoever had it. Not where nobody has come back for it since the hub started: it was the hub that was away. */
  readonly isLoss: boolean;
}

/** Is written: a hand-over is on its way to disk (`round`), or a change. */
type Writing = "round" | Change;

interface Entry {
  record: ClaimRecord;
  /** Who holds it, where the connection is there. */
  member?: Member | undefined;
  /** When the connection of who holds it was gone. */
  goneMs?: number | undefined;
  writing?: Writing | undefined;
}

interface RoundUnderWay {
  readonly round: Round;
  readonly given: readonly { readonly entry: Entry; readonly before: WaitingRecord }[];
  /** The others that it writes. */
  readonly saved: readonly Entry[];
}

const defaultMostWaiting = 10_000;
const defaultMostOfKey = 1_000;
const defaultMostBehind = 100;
const defaultMostBehindLength = 10_000;
const defaultMostDead = 100_000;
/** Of one round: what it writes, and what it sends. The next one follows at once. */
export const mostGiven = 256;
/** Of one `expire`: others have their turn between, also where a hundred groups have so many in the same moment. */
export const mostExpired = 64;

/**
 * The claims of one group: which events wait, who holds which, and which are dead. It has no clock, no timers and no disk: it
 * is told what time it is, and says what is to be written.
 *
 * Memory and disk. `handOver`, `settle`, `redrive` and `drop` begin something that counts when it is on disk: what they
 * concern is set aside until then, nobody else gets it, it does not expire, and nothing of its key passes it. The caller
 * writes what they return, then says `commitRound` or `commit`, and where the log refused it `abortRound` or `abort`. There is
 * one round of hand-overs at a time, and any number of changes; a round is written before all that was begun after it, a change
 * before or after that. Everything else counts at once, and goes to disk with the next round, before anything
 * that follows from it: what was looked at or passed over, what has expired, renewed leases. A crash before that only undoes
 * it, and it happens again.
 */
export class Claims {
  readonly #rules: ClaimRules;
  readonly #chance: () => number;
  readonly #entries = new Map<number, Entry>();
  readonly #queue = new ClaimQueue<Entry>();
  readonly #members = new Members();
  /** Those that are held and can end. */
  readonly #leases = new Heap<Entry>(
    (a, b) => this.#endMs(a) - this.#endMs(b) || a.record.offset - b.record.offset,
  );
  readonly #counts = { waiting: 0, held: 0, dead: 0 };
  readonly #unsaved: Unsaved<Entry>;
  readonly #behind: Behind;
  #together: Together | undefined;
  #position: number;
  #token: number;
  #underWay: RoundUnderWay | undefined;

  /**
   * `kept`: what is on disk; for a new group its beginning, token 0 and no records. Who held something before a restart is
   * not gone: it is over with the lease, unless they come back before. `chance`: 0 to 1.
   */
  constructor(
    rules: ClaimRules,
    chance: () => number,
    kept: { readonly position: number; readonly token: number; readonly behind?: readonly LeftBehind[] },
    records: Iterable<ClaimRecord> = [],
  ) {
    this.#rules = rules;
    this.#together = rules.together;
    this.#chance = chance;
    this.#position = kept.position;
    this.#unsaved = new Unsaved(kept.position);
    this.#behind = new Behind(kept.behind);
    this.#token = kept.token;
    for (const record of [...records].sort((a, b) => a.offset - b.offset)) this.#restore(record);
  }

  /** Everything up to it was looked at, or passed over. */
  get position(): number {
    return this.#position;
  }

  /** Everything up to it was looked at, and nothing of it was passed over. */
  get lookedAtAllThrough(): number {
    return (this.#behind.first(() => true) ?? this.#position + 1) - 1;
  }

  get counts(): { readonly waiting: number; readonly held: number; readonly dead: number } {
    return this.#counts;
  }

  get members(): Iterable<Member> {
    return this.#members;
  }

  /** Whether there is use in looking at more of the log: members have room for more than there is. */
  get wantsMore(): boolean {
    const { mostBehind = defaultMostBehind, mostBehindLength = defaultMostBehindLength } = this.#rules;
    return this.#hasRoom && this.#behind.size < mostBehind && this.#behind.length < mostBehindLength;
  }

  /** The place behind which there is use in looking at the log again, for what was passed over; undefined: there is none. */
  get wantsAgainAfter(): number | undefined {
    if (!this.#hasRoom) return undefined;
    const { mostOfKey = defaultMostOfKey } = this.#rules;
    const first = this.#behind.first((key) => this.#queue.sizeOf(key) * 2 < mostOfKey);
    return first && first - 1;
  }

  /** Whether there is use in looking at the log, on or again. */
  get wantsToLook(): boolean {
    return this.wantsMore || this.wantsAgainAfter !== undefined;
  }

  /** Whether there is something to hand over now. */
  get hasReady(): boolean {
    return this.#queue.ready > 0;
  }

  /** When time alone brings something for `expire` or `handOver` to do; undefined: never. May be over. */
  get nextMs(): number | undefined {
    const { first } = this.#leases;
    const times = [first && this.#endMs(first), this.#queue.dueMs].filter((time) => time !== undefined);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  /**
   * An event of the group, in the order of the log. Whether it waits from now on: not where it was looked at before, nor where its
   * key is behind, or is so from now on since too many of it wait.
   */
  look(offset: number, event: string, key?: string): boolean {
    if (offset <= this.#position || this.#entries.has(offset)) return false;
    this.#position = offset;
    if (key !== undefined && (this.#behind.has(key) || this.#isCrowded(key))) {
      this.#behind.begin(key, offset);
      return false;
    }
    this.#unsaved.look(this.#insert(offset, event, key));
    return true;
  }

  /**
   * All events of the group between two places that were looked at before, `after` being `wantsAgainAfter`. Answers those that
   * had been passed over, and wait from now on.
   */
  lookAgain<E extends Seen>(after: number, through: number, events: readonly E[]): readonly E[] {
    const found: E[] = [];
    this.#behind.readAgain(after, through, this.#position, events, (seen, key) => {
      if (this.#isFull || this.#isCrowded(key)) return false;
      this.#unsaved.change(this.#insert(seen.offset, seen.event, key));
      return found.push(seen) > 0;
    });
    return found;
  }

  /** There are no others up to there. */
  lookedThrough(offset: number): void {
    this.#position = Math.max(this.#position, offset);
  }

  /**
   * A connection works from now on or, said again, with another capacity or lease. Answers the offsets of `held` that are not
   * the satellite's any more; the others are renewed, and are this connection's.
   */
  join({ id, satellite, capacity, leaseMs, held = [] }: Joining, nowMs: number): readonly number[] {
    const member = this.#members.join(id, satellite, capacity, leaseMs);
    const isLost = ({ offset, token }: ClaimToken) => {
      const entry = this.#held(offset, token, nowMs);
      if (entry === undefined || (entry.record as HeldRecord).by !== satellite) return true;
      if (entry.member !== undefined) this.#members.take(entry.member, offset);
      this.#members.keep(member, offset);
      if (entry.writing !== undefined) this.#members.end(member, offset);
      entry.member = member;
      entry.goneMs = undefined;
      this.#renew(entry, nowMs + leaseMs);
      return false;
    };
    return held.filter(isLost).map(({ offset }) => offset);
  }

  /** The connection is given nothing for now, or again. */
  passOver(id: string, isPassedOver = true): void {
    this.#members.passOver(id, isPassedOver);
  }

  /** The connection is gone. What it holds is over when the grace is, or the lease. */
  leave(id: string, nowMs: number): void {
    for (const offset of this.#members.get(id)?.claims ?? []) {
      const entry = this.#entries.get(offset) as Entry;
      entry.member = undefined;
      entry.goneMs = nowMs;
      if (entry.writing === undefined) this.#leases.put(entry);
    }
    this.#members.leave(id);
  }

  /** Renews leases. Answers the offsets of those that are not the member's any more. */
  hold(id: string, claims: readonly ClaimToken[], nowMs: number): readonly number[] {
    this.#members.resume(id);
    const isLost = ({ offset, token }: ClaimToken) => {
      const entry = this.#held(offset, token, nowMs);
      if (entry?.member?.id !== id) return true;
      this.#renew(entry, nowMs + entry.member.leaseMs);
      return false;
    };
    return claims.filter(isLost).map(({ offset }) => offset);
  }

  /**
   * Whether the member may still act on the claim. Not when the lease is over, though nobody may have taken it back yet, and
   * not from when it began to settle.
   */
  isCurrent(id: string, { offset, token }: ClaimToken, nowMs: number): boolean {
    const entry = this.#held(offset, token, nowMs);
    return entry?.member?.id === id && entry.writing === undefined;
  }

  /**
   * Gives out what is due, in the order of the log, each to the member whose turn it is, at most `mostGiven`. Undefined: nothing to
   * write, or the last round is not on disk yet. Ask again after everything else that was said here, the end of a round included.
   */
  handOver(nowMs: number): Round | undefined {
    this.#queue.passTime(nowMs);
    if (this.#underWay !== undefined) return undefined;
    const given: RoundUnderWay["given"][number][] = [];
    const claims: HandOver[] = [];
    const memberFor = ({ record }: Entry, isDue: boolean) =>
      this.#members.next(record.backBy) ?? (isDue ? this.#members.next() : undefined);
    while (claims.length < mostGiven) {
      const next = this.#queue.next(memberFor);
      if (next === undefined) break;
      given.push({ entry: next.entry, before: next.entry.record as WaitingRecord });
      claims.push(this.#give(next.entry, next.member, nowMs));
    }
    const entries = given.map(({ entry }) => entry);
    const saving = this.#unsaved.take(entries, this.#position, ({ writing }) => writing === undefined);
    if (saving === undefined) return undefined;
    const records = [...entries, ...saving.entries].map(({ record }) => record);
    const { position } = saving;
    const round = { position, behind: this.#behind.upTo(position), token: this.#token, records, claims };
    this.#underWay = { round, given, saved: saving.entries };
    return round;
  }

  /**
   * The round is on disk. Answers the claims to send: not those of members that are gone by now, which go to others and count
   * as no attempt. The leases begin now.
   */
  commitRound(nowMs: number): readonly HandOver[] {
    const { round, given } = this.#endRound();
    this.#unsaved.saved(round.position);
    return round.claims.filter(({ leaseMs }, place) => {
      const { entry, before } = given[place] as (typeof given)[number];
      const isThere = entry.member !== undefined;
      if (isThere) this.#begin(entry, nowMs + leaseMs);
      else this.#putBack(entry, before);
      return isThere;
    });
  }

  /** The round is not on disk, and did not happen. */
  abortRound(): void {
    const { given, saved } = this.#endRound();
    for (const { entry, before } of given) this.#putBack(entry, before);
    const isThere = (entry: Entry) => this.#entries.get(entry.record.offset) === entry;
    for (const entry of saved.filter(isThere)) this.#unsaved.change(entry);
  }

  /**
   * Ends a claim. Its room is free at once, so that the next hand-over can be in the same commit as the settle. Undefined: it is
   * not the member's any more (`LEASE_LOST`).
   */
  settle(
    id: string,
    claim: ClaimToken & { readonly outcome: Outcome; readonly error?: string },
    nowMs: number,
  ): Change | undefined {
    this.#members.resume(id);
    if (!this.isCurrent(id, claim, nowMs)) return undefined;
    const entry = this.#entries.get(claim.offset) as Entry;
    const { outcome, error } = claim;
    const change = settled(entry.record as HeldRecord, outcome, error, this.#rules, this.#chance(), nowMs);
    this.#leases.remove(entry);
    this.#members.end(entry.member as Member, claim.offset);
    return this.#write(entry, change);
  }

  /** Gives a dead event a new life. Undefined: it is not dead (`NOT_DEAD`). */
  redrive(offset: number): Change | undefined {
    return this.#endDeath(offset, redriven);
  }

  /** Forgets a dead event. Undefined: it is not dead (`NOT_DEAD`). */
  drop(offset: number): Change | undefined {
    return this.#endDeath(offset, dropped);
  }

  /** The change is on disk. */
  commit(change: Change): void {
    const entry = this.#endWriting(change);
    this.#unsaved.forget(entry);
    this.#apply(entry, change.record);
  }

  /** The change is not on disk, and did not happen: a claim is held as before, a dead event is dead. */
  abort(change: Change): void {
    const entry = this.#endWriting(change);
    if (entry.record.state !== "held") return this.#queue.unblock(entry);
    this.#leases.put(entry);
    if (entry.member !== undefined) this.#members.keep(entry.member, change.offset);
  }

  /**
   * Takes back the claims whose time is over. A member that is connected, but let a lease run out, may be stopped, and would
   * use up an attempt at everything it is given: it gets nothing more until it says something. At most `mostExpired`: then ask again.
   */
  expire(nowMs: number): readonly Expired[] {
    const changes: Expired[] = [];
    while (changes.length < mostExpired) {
      const { first } = this.#leases;
      if (first === undefined || this.#endMs(first) > nowMs) break;
      const change = over(first.record as HeldRecord, this.#rules, this.#chance(), nowMs);
      if (first.member === undefined) changes.push({ ...change, isLoss: first.goneMs !== undefined });
      else {
        changes.push({ ...change, isLoss: true, member: first.member.id });
        if (change.outcome === "expired") this.#members.pause(first.member.id);
      }
      this.#apply(first, change.record);
      this.#unsaved.change(first);
    }
    return changes;
  }

  /** Of what is not settled. */
  get offsets(): Iterable<number> {
    return this.#entries.keys();
  }

  /** Nothing counts from now on, whatever is on its way to disk. */
  forget(): void {
    this.#countTogether(-this.#entries.size);
    this.#together = undefined;
  }

  /** The first so many after an offset, in the order of the log. */
  dead(after = 0, most = Number.POSITIVE_INFINITY): readonly DeadRecord[] {
    const dead: DeadRecord[] = [];
    for (const { record } of this.#entries.values())
      if (record.state === "dead" && record.offset > after) dead.push(record);
    return dead.sort((a, b) => a.offset - b.offset).slice(0, most);
  }

  /** What is not settled of a key, in the order of the log. */
  ofKey(key: string): readonly ClaimRecord[] {
    const { entries, dead } = this.#queue.ofKey(key);
    const offsets = [...entries.map(({ record }) => record.offset), ...dead];
    return offsets.sort((a, b) => a - b).map((offset) => (this.#entries.get(offset) as Entry).record);
  }

  /** Members for more than is ready, and the group for more that waits. */
  get #hasRoom(): boolean {
    return this.#members.room > this.#queue.ready && !this.#isFull;
  }

  get #isFull(): boolean {
    const { mostWaiting = defaultMostWaiting, mostDead = defaultMostDead } = this.#rules;
    const together = this.#together;
    if (together !== undefined && areTooMany(together)) return true;
    return this.#counts.waiting >= mostWaiting || this.#counts.dead >= mostDead;
  }

  #isCrowded(key: string): boolean {
    const { mostOfKey = defaultMostOfKey } = this.#rules;
    return this.#queue.sizeOf(key) >= mostOfKey;
  }

  #insert(offset: number, event: string, key: string | undefined): Entry {
    const entry: Entry = { record: { offset, event, key, attempt: 0, state: "waiting", dueMs: 0 } };
    this.#add(entry);
    this.#queue.insert(entry);
    return entry;
  }

  #restore(record: ClaimRecord): void {
    const entry: Entry = { record };
    this.#add(entry);
    if (record.state === "dead") return this.#queue.bury(entry);
    this.#queue.insert(entry);
    if (record.state !== "held") return;
    this.#queue.block(entry);
    this.#leases.put(entry);
  }

  #add(entry: Entry): void {
    this.#entries.set(entry.record.offset, entry);
    this.#counts[entry.record.state] += 1;
    this.#countTogether(1);
  }

  #countTogether(more: number): void {
    if (this.#together === undefined) return;
    this.#together.count += more;
    if (this.#together.all !== undefined) this.#together.all.count += more;
  }

  #set(entry: Entry, record: ClaimRecord): void {
    this.#counts[entry.record.state] -= 1;
    this.#counts[record.state] += 1;
    entry.record = record;
  }

  /** When it ends if nothing is done for it. */
  #endMs({ record, goneMs }: Entry): number {
    const { untilMs } = record as HeldRecord;
    return goneMs === undefined ? untilMs : Math.min(untilMs, goneMs + this.#rules.graceMs);
  }

  /** The one that is held under the token, and whose time is not over unless its end is being written. */
  #held(offset: number, token: number, nowMs: number): Entry | undefined {
    const entry = this.#entries.get(offset);
    if (entry?.record.state !== "held" || entry.record.token !== token) return undefined;
    if (entry.writing === undefined) return nowMs < this.#endMs(entry) ? entry : undefined;
    return entry.writing === "round" ? undefined : entry;
  }

  #renew(entry: Entry, untilMs: number): void {
    entry.record = { ...(entry.record as HeldRecord), untilMs };
    if (entry.writing === undefined) this.#leases.put(entry);
    this.#unsaved.change(entry);
  }

  #give(entry: Entry, member: Member, nowMs: number): HandOver {
    const { offset, event, key, attempt: before, backBy: formerly } = entry.record;
    const { id, satellite, leaseMs } = member;
    const attempt = before + 1;
    // Where it has been round, whoever gives it back now is the first again.
    const backBy = formerly?.includes(satellite) ? undefined : formerly;
    this.#queue.block(entry);
    this.#token += 1;
    const [token, untilMs] = [this.#token, nowMs + leaseMs];
    this.#set(entry, { offset, event, key, attempt, backBy, state: "held", token, by: satellite, untilMs });
    entry.member = member;
    entry.writing = "round";
    this.#members.give(member, offset);
    const deadBefore = this.#queue.deadBefore(entry);
    return { offset, event, key, token, member: id, satellite, attempt, leaseMs, deadBefore };
  }

  /** It is on disk that the member has it. The record need not say that the lease is a little longer. */
  #begin(entry: Entry, untilMs: number): void {
    entry.writing = undefined;
    entry.record = { ...(entry.record as HeldRecord), untilMs };
    this.#leases.put(entry);
  }

  /** Nobody was told that the member has it. */
  #putBack(entry: Entry, before: WaitingRecord): void {
    entry.writing = undefined;
    this.#release(entry);
    this.#set(entry, before);
    this.#queue.unblock(entry);
    this.#unsaved.change(entry);
  }

  #release(entry: Entry): void {
    if (entry.member !== undefined) this.#members.take(entry.member, entry.record.offset);
    entry.member = undefined;
    entry.goneMs = undefined;
    this.#leases.remove(entry);
  }

  /** From held or dead, with its key blocked, to what it is from now on. */
  #apply(entry: Entry, after: ClaimRecord | null): void {
    const before = entry.record;
    if (before.state === "held") {
      this.#release(entry);
      if (after?.state !== "waiting") this.#queue.remove(entry);
    } else {
      this.#queue.unbury(entry);
    }
    if (after === null) {
      this.#counts[before.state] -= 1;
      this.#entries.delete(before.offset);
      this.#countTogether(-1);
    } else {
      this.#set(entry, after);
      if (after.state === "dead") this.#queue.bury(entry);
      else if (before.state === "dead") this.#queue.insert(entry);
    }
    this.#queue.unblock(entry);
  }

  #endRound(): RoundUnderWay {
    const underWay = this.#underWay;
    if (underWay === undefined) throw new Error("no round is under way");
    this.#underWay = undefined;
    return underWay;
  }

  #write(entry: Entry, change: Change): Change {
    entry.writing = change;
    return change;
  }

  #endWriting(change: Change): Entry {
    const entry = this.#entries.get(change.offset);
    if (entry?.writing !== change) throw new Error(`the change of ${change.offset} is not under way`);
    entry.writing = undefined;
    return entry;
  }

  #endDeath(offset: number, end: (dead: DeadRecord) => Change): Change | undefined {
    const entry = this.#entries.get(offset);
    if (entry?.record.state !== "dead" || entry.writing !== undefined) return undefined;
    this.#queue.block(entry);
    return this.#write(entry, end(entry.record));
  }
}
