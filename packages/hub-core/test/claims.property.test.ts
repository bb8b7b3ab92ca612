import type { Outcome } from "@orrery/contracts";
import fc from "fast-check";
import type { LeftBehind } from "../src/claim-behind.ts";
import type { Change, ClaimRules } from "../src/claim-outcome.ts";
import { type ClaimRecord, claimFrom, claimText } from "../src/claim-record.ts";
import { Claims, type HandOver, type Round } from "../src/claims.ts";

const [mostWaiting, mostOfKey, mostDead] = [14, 5, 8];
const rules: ClaimRules = { attempts: 2, backoffMs: 1_000, graceMs: 500, mostWaiting, mostOfKey, mostDead };
const chance = 0.25;
const keys = [undefined, "p-1", "p-2", "p-3"];
const outcomes: readonly Outcome[] = ["done", "retry", "dead", "back", "back"];

/** What the model knows of one event that is not settled. */
interface Known {
  readonly offset: number;
  readonly key: string | undefined;
  state: "waiting" | "held" | "dead";
  attempt: number;
  dueMs: number;
  backBy: readonly string[];
  token: number;
  by: string;
  member?: string | undefined;
  untilMs: number;
  goneMs?: number | undefined;
  writing?: "round" | "change" | undefined;
}

interface Worker {
  readonly id: string;
  readonly satellite: string;
  capacity: number;
  leaseMs: number;
  turn: number;
  /** It let a lease run out, and has said nothing since. */
  isPaused: boolean;
}

/** A claim that was sent to somebody. */
interface Told {
  readonly offset: number;
  readonly token: number;
  readonly member: string;
  readonly satellite: string;
}

type Write = { readonly round: Round } | { readonly change: Change };

/**
 * What surrounds the table in the hub (a log that is read, a disk that writes, or refuses, connections that come and go, a
 * clock), and a second table that does the same by looking at everything each time. The two must agree at every step.
 */
class Surroundings {
  nowMs = 1_000;
  /** Whether an event of this offset is the group's, and its key. */
  readonly log: { readonly isWanted: boolean; readonly key: string | undefined }[] = [];
  claims = new Claims(rules, () => chance, { position: 0, token: 0 });

  known = new Map<number, Known>();
  /** Offsets of what was passed over since too many of its key waited. */
  passedOver = new Set<number>();
  workers = new Map<string, Worker>();
  position = 0;
  token = 0;
  turn = 0;
  writes: Write[] = [];
  /** What a round under way would be without. */
  before = new Map<number, Known>();

  disk = { position: 0, behind: [] as readonly LeftBehind[], token: 0, claims: new Map<number, string>() };
  readonly settled = new Set<number>();
  readonly everDead = new Set<number>();
  readonly told: Told[] = [];

  // What happens.

  grow(events: readonly { readonly isWanted: boolean; readonly key: string | undefined }[]): void {
    this.log.push(...events);
    this.read();
  }

  read(): void {
    if (!this.#checkedWantsMore()) return;
    const through = Math.min(this.log.length, this.position + 5);
    for (let offset = this.position + 1; offset <= through; offset += 1) {
      const { isWanted, key } = this.log[offset - 1] as (typeof this.log)[number];
      if (!isWanted) continue;
      const isCrowded = this.#sizeOf(key) >= mostOfKey;
      const isSomeKeyBehind = this.claims.lookedAtAllThrough < this.claims.position;
      if (this.claims.look(offset, "pickup", key)) {
        expect([isCrowded, this.#passedOverOf(key)]).toEqual([false, []]);
        this.known.set(offset, { ...fresh, offset, key });
      } else {
        expect([key !== undefined, isCrowded || isSomeKeyBehind]).toEqual([true, true]);
        this.passedOver.add(offset);
      }
    }
    this.claims.lookedThrough(through);
    this.position = through;
  }

  readAgain(places: number): void {
    const after = this.#checkedWantsAgainAfter();
    if (after === undefined) return;
    const through = Math.min(this.log.length, after + places);
    const page = this.log
      .map(({ isWanted, key }, place) => ({ offset: place + 1, event: "pickup", key, isWanted }))
      .filter(({ isWanted, offset }) => isWanted && offset > after && offset <= through);
    const withRoom = keys.filter((key) => this.#sizeOf(key) * 2 < mostOfKey);
    for (const { offset, key } of this.claims.lookAgain(after, through, page)) {
      expect([this.#isFull(), this.#sizeOf(key) < mostOfKey]).toEqual([false, true]);
      expect(this.#passedOverOf(key)[0]).toBe(offset);
      this.passedOver.delete(offset);
      this.known.set(offset, { ...fresh, offset, key });
    }
    const left = page.filter(({ offset, key }) => this.passedOver.has(offset) && withRoom.includes(key));
    for (const { key } of left) expect(this.#isFull() || this.#sizeOf(key) >= mostOfKey).toBe(true);
  }

  join(id: string, capacity: number, leaseMs: number, listed: readonly Told[]): void {
    const satellite = satelliteOf(id);
    const worker = this.workers.get(id) ?? { id, satellite, capacity, leaseMs, turn: 0, isPaused: false };
    this.workers.set(id, Object.assign(worker, { capacity, leaseMs, isPaused: false }));
    const lost = listed.filter(({ offset, token }) => {
      const one = this.#heldUnder(offset, token);
      if (one?.by !== satellite) return true;
      Object.assign(one, { member: id, goneMs: undefined, untilMs: this.nowMs + leaseMs });
      return false;
    });
    const answer = this.claims.join({ id, satellite, capacity, leaseMs, held: listed }, this.nowMs);
    expect(answer).toEqual(lost.map(({ offset }) => offset));
  }

  leave(id: string): void {
    this.claims.leave(id, this.nowMs);
    this.workers.delete(id);
    for (const one of this.known.values()) {
      if (one.member === id) Object.assign(one, { member: undefined, goneMs: this.nowMs });
    }
  }

  hold(id: string, listed: readonly Told[]): void {
    const lost = listed.filter(({ offset, token }) => {
      const one = this.#heldUnder(offset, token);
      if (one?.member !== id) return true;
      one.untilMs = this.nowMs + (this.workers.get(id) as Worker).leaseMs;
      return false;
    });
    this.#speak(id);
    const answer = this.claims.hold(id, listed, this.nowMs);
    expect(answer).toEqual(lost.map(({ offset }) => offset));
  }

  settle(id: string, { offset, token }: Told, outcome: Outcome): void {
    this.#speak(id);
    const change = this.claims.settle(id, { offset, token, outcome, error: "why" }, this.nowMs);
    expect(change !== undefined).toBe(this.#isCurrent(id, offset, token));
    if (change === undefined) return;
    this.#known(offset).writing = "change";
    this.writes.push({ change });
  }

  redrive(offset: number, way: "redrive" | "drop"): void {
    const change = this.claims[way](offset);
    const one = this.known.get(offset);
    expect(change !== undefined).toBe(one?.state === "dead" && one.writing === undefined);
    if (change === undefined) return;
    this.#known(offset).writing = "change";
    this.writes.push({ change });
  }

  expire(): void {
    const over = [...this.known.values()].filter(
      (one) => one.state === "held" && one.writing === undefined && endMs(one) <= this.nowMs,
    );
    const expected = over.map((one) => ({
      offset: one.offset,
      member: one.member,
      outcome: one.untilMs <= this.nowMs ? "expired" : "gone",
    }));
    const changes = this.claims.expire(this.nowMs);
    const actual = changes.map(({ offset, member, outcome }) => ({ offset, member, outcome }));
    expect(actual.sort(byOffset)).toEqual(expected.sort(byOffset));
    for (const one of over) {
      const member = one.untilMs <= this.nowMs ? this.workers.get(one.member ?? "") : undefined;
      if (member !== undefined) member.isPaused = true;
      this.#fail(one);
    }
  }

  #speak(id: string): void {
    const worker = this.workers.get(id);
    if (worker !== undefined) worker.isPaused = false;
  }

  handOver(): void {
    const isUnderWay = this.writes.some((write) => "round" in write);
    const expected = isUnderWay ? [] : this.#choose();
    const round = this.claims.handOver(this.nowMs);
    const given = (round?.claims ?? []).map(({ offset, member, token, attempt }) => ({
      offset,
      member,
      token,
      attempt,
    }));
    expect(given).toEqual(expected);
    if (round === undefined) return;
    expect(isUnderWay).toBe(false);
    this.#checkFair(round.claims);
    this.before = new Map();
    for (const claim of round.claims) {
      const one = this.#known(claim.offset);
      this.before.set(claim.offset, { ...one });
      const backBy = one.backBy.includes(claim.satellite) ? [] : one.backBy;
      const { token, member, attempt, satellite: by, leaseMs } = claim;
      Object.assign(one, { state: "held", writing: "round", token, member, attempt, by, backBy });
      one.untilMs = this.nowMs + leaseMs;
      this.turn += 1;
      (this.workers.get(member) as Worker).turn = this.turn;
      this.token = token;
      expect(claim.deadBefore).toEqual(this.#deadBefore(one));
    }
    expect(round.token).toBe(this.token);
    this.writes.push({ round });
  }

  /** The disk writes one of what waits for it, or refuses it: no change before a round that was begun before it. */
  write(isKept: boolean, which = 0): void {
    const rounds = this.writes.findIndex((write) => "round" in write);
    const writable = rounds === -1 ? this.writes.length : rounds + 1;
    const [write] = this.writes.splice(which % Math.max(writable, 1), 1);
    if (write === undefined) return;
    if ("round" in write) this.#writeRound(write.round, isKept);
    else this.#writeChange(write.change, isKept);
    this.#checkDisk();
  }

  /** What a hub does all the time. */
  goOn(): void {
    this.expire();
    this.handOver();
    this.write(true);
  }

  /** The hub is killed, and starts again from what is on disk. */
  crash(): void {
    const records = [...this.disk.claims.values()].map(claimFrom);
    this.claims = new Claims(rules, () => chance, this.disk, records.reverse());
    this.writes = [];
    this.workers.clear();
    this.known = new Map(records.map((record) => [record.offset, knownOf(record)]));
    ({ position: this.position, token: this.token } = this.disk);
    const unseen = this.log.map((_, place) => place + 1).filter((offset) => this.#isUnseen(offset));
    this.passedOver = new Set(unseen);
  }

  /** With room and time, everything ends. */
  finish(): void {
    this.join("c0", 1, 1_000, []);
    const isOver = () =>
      this.claims.lookedAtAllThrough === this.log.length && this.#unfinished().length === 0;
    for (let turns = 0; !isOver(); turns += 1) {
      expect(turns).toBeLessThan(2_000);
      while (this.writes.length > 0) this.write(true);
      for (const one of [...this.known.values()]) if (one.state === "dead") this.redrive(one.offset, "drop");
      while (this.writes.length > 0) this.write(true);
      this.readAgain(5);
      this.read();
      this.expire();
      this.handOver();
      while (this.writes.length > 0) this.write(true);
      const current = this.#current();
      for (const claim of current) this.settle(claim.member, claim, "done");
      const { nextMs } = this.claims;
      if (current.length === 0 && nextMs !== undefined) this.nowMs = Math.max(this.nowMs, nextMs);
      this.check();
    }
  }

  // What must be so.

  check(): void {
    expect(this.#seen()).toEqual(this.#expected());
    const lostOrTwice = this.log.filter(({ isWanted }, place) => {
      const places = [this.known, this.settled, this.passedOver].filter((all) => all.has(place + 1));
      return place < this.position && places.length !== Number(isWanted);
    });
    for (const offset of this.passedOver) expect(offset).toBeGreaterThan(this.claims.lookedAtAllThrough);
    const current = this.#current();
    const currentKeys = current
      .map(({ offset }) => this.log[offset - 1]?.key)
      .filter((key) => key !== undefined);
    const owners = new Set(current.map(({ offset }) => offset)).size;
    expect([lostOrTwice, owners, new Set(currentKeys).size]).toEqual([
      [],
      current.length,
      currentKeys.length,
    ]);
  }

  /** What the table says of itself. */
  #seen(): unknown {
    const { position, counts, members } = this.claims;
    const ofKeys = keys.flatMap((key) => (key === undefined ? [] : this.claims.ofKey(key)));
    return {
      position,
      counts: { ...counts },
      ofKeys: ofKeys.map(({ offset, state, attempt }) => `${offset} ${state} ${attempt}`),
      members: [...members].map(({ id, capacity, claims }) => `${id} ${capacity} ${ascending(claims)}`),
    };
  }

  #expected(): unknown {
    const all = [...this.known.values()].sort(byOffset);
    const count = (state: Known["state"]) => all.filter((one) => one.state === state).length;
    const ofKeys = keys.flatMap((key) => all.filter((one) => key !== undefined && one.key === key));
    return {
      position: this.position,
      counts: { waiting: count("waiting"), held: count("held"), dead: count("dead") },
      ofKeys: ofKeys.map(({ offset, state, attempt }) => `${offset} ${state} ${attempt}`),
      members: [...this.workers.values()].map(
        ({ id, capacity }) => `${id} ${capacity} ${ascending(this.#claimsOf(id))}`,
      ),
    };
  }

  /** All claims under which somebody may act now, by asking for all that were ever sent to anybody. */
  #current(): Told[] {
    const wrong: Told[] = [];
    const current = this.told.slice(-60).flatMap((told) =>
      [...this.workers.keys()].flatMap((member) => {
        const isCurrent = this.claims.isCurrent(member, told, this.nowMs);
        if (isCurrent !== this.#isCurrent(member, told.offset, told.token)) wrong.push({ ...told, member });
        return isCurrent ? [{ ...told, member }] : [];
      }),
    );
    if (wrong.length > 0) expect(wrong).toEqual([]);
    return current;
  }

  /** Says true exactly where there is room beyond what can be handed over; what has just become due may not count yet. */
  #checkedWantsMore(): boolean {
    const { wantsMore } = this.claims;
    const room = [...this.workers.values()].reduce((sum, worker) => sum + this.#roomOf(worker), 0);
    const heads = [...this.known.values()].filter((one) => this.#isHead(one));
    const certain = heads.filter(({ dueMs }) => dueMs === 0).length;
    const possible = heads.filter(({ dueMs }) => dueMs <= this.nowMs).length;
    if (wantsMore) expect([this.#isFull(), room > certain]).toEqual([false, true]);
    else expect(this.#isFull() || room <= possible).toBe(true);
    return wantsMore;
  }

  /** Wants the same, where a key that is behind has room for half of what it may have. */
  #checkedWantsAgainAfter(): number | undefined {
    const { wantsAgainAfter: after } = this.claims;
    const withRoom = keys.filter((key) => key !== undefined && this.#sizeOf(key) * 2 < mostOfKey);
    const [first] = withRoom.flatMap((key) => this.#passedOverOf(key)).sort((a, b) => a - b);
    if (after === undefined) expect(first === undefined || !this.#checkedWantsMore()).toBe(true);
    else expect([this.#checkedWantsMore(), after < (first ?? this.position)]).toEqual([true, true]);
    return after;
  }

  #checkFair(claims: readonly HandOver[]): void {
    const highest = this.told.reduce((most, { token }) => Math.max(most, token), 0);
    for (const { token } of claims) expect(token).toBeGreaterThan(highest);
    for (const { member } of claims) {
      const { capacity } = this.workers.get(member) as Worker;
      const now = claims.filter((claim) => claim.member === member).length;
      expect(this.#takenBy(member) + now).toBeLessThanOrEqual(capacity);
    }
  }

  /**
   * What a crash would leave: each event once, every claim that was sent, never two of a key. Nothing of what will be looked at,
   * behind the position or since its key is behind, has begun.
   */
  #checkDisk(): void {
    const { position, behind, claims } = this.disk;
    const from = new Map<string | undefined, number>(behind);
    const wrong = this.log.filter(({ isWanted, key }, place) => {
      const [isKept, isSettled] = [claims.has(place + 1), this.settled.has(place + 1)];
      const isUnseen = place >= position || place + 1 >= (from.get(key) ?? Number.POSITIVE_INFINITY);
      return isUnseen ? isKept || isSettled : isWanted !== (isKept !== isSettled);
    });
    expect(wrong).toEqual([]);
    const records = [...claims.values()].map(claimFrom);
    const heldKeys = records
      .filter(({ state, key }) => state === "held" && key !== undefined)
      .map(({ key }) => key);
    expect(new Set(heldKeys).size).toBe(heldKeys.length);
    for (const { offset, token } of this.#current()) {
      expect(records.find((record) => record.offset === offset)).toMatchObject({ state: "held", token });
    }
    for (const record of records) {
      expect(Object.keys(record)).toEqual(Object.keys(claimFrom(claimText(record))));
    }
  }

  // The second table.

  #choose(): Pick<HandOver, "offset" | "member" | "token" | "attempt">[] {
    const chosen: Pick<HandOver, "offset" | "member" | "token" | "attempt">[] = [];
    const workers = [...this.workers.values()].map((worker) => ({
      ...worker,
      held: this.#takenBy(worker.id),
    }));
    const heads = [...this.known.values()].filter((one) => this.#isHead(one)).sort(byOffset);
    let { turn } = this;
    for (const { offset, dueMs, backBy, attempt } of heads) {
      const free = workers
        .filter(({ held, capacity, isPaused }) => held < capacity && !isPaused)
        .sort((a, b) => a.held / a.capacity - b.held / b.capacity || a.turn - b.turn);
      const isDue = dueMs <= this.nowMs;
      const other =
        isDue || backBy.length > 0 ? free.find(({ satellite }) => !backBy.includes(satellite)) : undefined;
      const worker = other ?? (isDue ? free[0] : undefined);
      if (worker === undefined) continue;
      worker.held += 1;
      turn += 1;
      worker.turn = turn;
      const token = this.token + chosen.length + 1;
      chosen.push({ offset, member: worker.id, token, attempt: attempt + 1 });
    }
    return chosen;
  }

  #writeRound({ position, behind, token, records, claims }: Round, isKept: boolean): void {
    if (isKept) {
      for (const record of records) this.#keep(record.offset, record);
      Object.assign(this.disk, { position, behind, token });
      const sent = this.claims.commitRound(this.nowMs);
      const expected = claims.filter(({ offset }) => this.#known(offset).member !== undefined);
      expect(sent).toEqual(expected);
    } else {
      this.claims.abortRound();
    }
    for (const { offset, token, member, satellite, leaseMs } of claims) {
      const one = this.#known(offset);
      one.writing = undefined;
      if (!isKept || one.member === undefined) {
        this.known.set(offset, this.before.get(offset) as Known);
        continue;
      }
      one.untilMs = this.nowMs + leaseMs;
      this.told.push({ offset, token, member, satellite });
      for (let earlier = 1; one.key !== undefined && earlier < offset; earlier += 1) {
        const { isWanted, key } = this.log[earlier - 1] as (typeof this.log)[number];
        if (isWanted && key === one.key)
          expect(this.settled.has(earlier) || this.everDead.has(earlier)).toBe(true);
      }
    }
  }

  #writeChange(change: Change, isKept: boolean): void {
    const { offset, outcome, record } = change;
    const one = this.#known(offset);
    one.writing = undefined;
    if (!isKept) return this.claims.abort(change);
    this.#keep(offset, record);
    this.claims.commit(change);
    if (record === null) {
      expect(this.settled.has(offset)).toBe(false);
      this.settled.add(offset);
      this.known.delete(offset);
    } else if (outcome === "redriven") {
      this.known.set(offset, { ...fresh, offset, key: one.key });
    } else if (outcome === "back") {
      const backBy = [...one.backBy, one.by];
      const { attempt, offset, key } = one;
      const dueMs = (record as { dueMs: number }).dueMs;
      this.known.set(offset, { ...fresh, offset, key, attempt: attempt - 1, backBy, dueMs });
    } else if (outcome === "dead") {
      this.#die(one);
    } else {
      this.#fail(one, (record as { dueMs?: number }).dueMs);
    }
  }

  #keep(offset: number, record: ClaimRecord | null): void {
    if (record === null) this.disk.claims.delete(offset);
    else this.disk.claims.set(offset, claimText(record));
  }

  #fail(one: Known, dueMs = this.nowMs + rules.backoffMs * 2 ** (one.attempt - 1) * (0.5 + chance)): void {
    if (one.attempt >= rules.attempts) return this.#die(one);
    const { offset, key, attempt } = one;
    this.known.set(offset, { ...fresh, offset, key, attempt, dueMs });
  }

  #die({ offset, key, attempt, by }: Known): void {
    this.everDead.add(offset);
    this.known.set(offset, { ...fresh, offset, key, attempt, by, state: "dead" });
  }

  #known(offset: number): Known {
    return this.known.get(offset) as Known;
  }

  /** Those of a key that wait or are held; what has no key is never too many. */
  #sizeOf(key: string | undefined): number {
    const all = key === undefined ? [] : [...this.known.values()];
    return all.filter((one) => one.key === key && one.state !== "dead").length;
  }

  #passedOverOf(key: string | undefined): number[] {
    return [...this.passedOver].filter((offset) => this.log[offset - 1]?.key === key).sort((a, b) => a - b);
  }

  #isFull(): boolean {
    const count = (which: Known["state"]) =>
      [...this.known.values()].filter(({ state }) => state === which).length;
    return count("waiting") >= mostWaiting || count("dead") >= mostDead;
  }

  /** The group's, and neither kept nor settled. */
  #isUnseen(offset: number): boolean {
    const isWanted = offset <= this.position && this.log[offset - 1]?.isWanted;
    return isWanted === true && !this.known.has(offset) && !this.settled.has(offset);
  }

  #heldUnder(offset: number, token: number): Known | undefined {
    const one = this.known.get(offset);
    if (one?.state !== "held" || one.token !== token || one.writing === "round") return undefined;
    return one.writing === "change" || this.nowMs < endMs(one) ? one : undefined;
  }

  #isCurrent(id: string, offset: number, token: number): boolean {
    const one = this.#heldUnder(offset, token);
    return one !== undefined && one.writing === undefined && one.member === id;
  }

  /** Whether it is the next of its key. */
  #isHead({ offset, key, state, writing }: Known): boolean {
    if (state !== "waiting" || writing !== undefined) return false;
    const others = [...this.known.values()].filter((one) => key !== undefined && one.key === key);
    return !others.some(
      (one) =>
        one.state === "held" || one.writing !== undefined || (one.state === "waiting" && one.offset < offset),
    );
  }

  #claimsOf(id: string): number[] {
    return [...this.known.values()].filter(({ member }) => member === id).map(({ offset }) => offset);
  }

  /** What is being settled takes no room. */
  #takenBy(id: string): number {
    return this.#claimsOf(id).filter((offset) => this.#known(offset).writing !== "change").length;
  }

  #roomOf({ id, capacity, isPaused }: Worker): number {
    return isPaused ? 0 : Math.max(0, capacity - this.#takenBy(id));
  }

  #deadBefore({ key, offset }: Known): number[] {
    const dead = [...this.known.values()].filter(
      (one) => key !== undefined && one.key === key && one.state === "dead",
    );
    return dead
      .map((one) => one.offset)
      .filter((earlier) => earlier < offset)
      .sort((a, b) => a - b);
  }

  #unfinished(): Known[] {
    return [...this.known.values()].filter(({ state }) => state !== "dead");
  }
}

const fresh = { state: "waiting", attempt: 0, dueMs: 0, backBy: [], token: 0, by: "", untilMs: 0 } as const;

const knownOf = (record: ClaimRecord): Known => ({
  ...fresh,
  ...record,
  key: record.key,
  backBy: record.backBy ?? [],
});

const byOffset = (a: { readonly offset: number }, b: { readonly offset: number }) => a.offset - b.offset;

const ascending = (offsets: Iterable<number>): string => [...offsets].sort((a, b) => a - b).join();

const endMs = ({ untilMs, goneMs = Number.POSITIVE_INFINITY }: Known): number =>
  Math.min(untilMs, goneMs + rules.graceMs);

/** Two connections may be of one satellite. */
const satelliteOf = (id: string): string => `driver:d${Number(id.slice(1)) % 3}`;

const pick = <T>(items: readonly T[], which: number): T | undefined =>
  items[which % Math.max(items.length, 1)];

const connection = fc.nat(4).map((number) => `c${number}`);
const event = fc.record({ isWanted: fc.nat(4).map((one) => one > 0), key: fc.constantFrom(...keys) });
const hotEvent = fc.record({
  isWanted: fc.constant(true),
  key: fc.constantFrom("p-1", "p-1", "p-1", "p-2", undefined),
});
const which = fc.nat(50);

/** Something that happens, with what chance says about it. */
const act = <T>(weight: number, luck: fc.Arbitrary<T>, happen: (one: Surroundings, luck: T) => void) => ({
  weight,
  arbitrary: luck.map((value) => (one: Surroundings) => happen(one, value)),
});

const happening = fc.oneof(
  act(3, fc.array(event, { minLength: 1, maxLength: 6 }), (one, events) => one.grow(events)),
  act(1, fc.constant(null), (one) => one.read()),
  act(3, fc.nat(5), (one, places) => one.readAgain(places + 1)),
  act(
    3,
    fc.tuple(connection, fc.nat(3), fc.constantFrom(100, 1_000, 3_000), fc.nat(3)),
    (one, [id, capacity, leaseMs, luck]) => {
      // It comes back with what is its own, or claims what is another's.
      const own = one.told.filter(({ satellite }) => luck === 0 || satellite === satelliteOf(id));
      one.join(id, capacity, leaseMs, luck > 1 ? [] : latest(own));
    },
  ),
  act(2, connection, (one, id) => one.leave(id)),
  act(2, fc.tuple(connection, fc.boolean()), (one, [id, isOwn]) => {
    if (one.workers.has(id)) one.hold(id, latest(one.told.filter(({ member }) => !isOwn || member === id)));
  }),
  // Mostly one that is still held, but any that was ever sent, by anybody, must be answered rightly.
  act(6, fc.tuple(which, fc.constantFrom(...outcomes), fc.nat(9)), (one, [place, outcome, luck]) => {
    const held = one.told.filter(({ offset, token }) => one.known.get(offset)?.token === token);
    const told = pick(luck > 0 ? held : one.told, place);
    if (told === undefined) return;
    const holder = one.known.get(told.offset)?.member ?? told.member;
    one.settle(luck > 1 ? holder : `c${place % 5}`, told, outcome);
  }),
  act(6, fc.constant(null), (one) => one.handOver()),
  act(8, fc.tuple(fc.nat(9), which), (one, [luck, which]) => one.write(luck > 1, which)),
  act(2, fc.constant(null), (one) => one.expire()),
  act(6, fc.constant(null), (one) => one.goOn()),
  act(3, fc.oneof(fc.nat(50), fc.nat(1_500)), (one, ms) => {
    one.nowMs += ms;
  }),
  act(2, fc.constant(null), (one) => {
    one.nowMs = Math.max(one.nowMs, one.claims.nextMs ?? 0);
  }),
  act(2, fc.tuple(which, fc.constantFrom("redrive" as const, "drop" as const)), (one, [place, way]) => {
    const dead = [...one.known.values()].filter(({ state }) => state === "dead");
    const { offset } = pick(dead, place) ?? { offset: place + 1 };
    one.redrive(offset, way);
  }),
  act(1, fc.constant(null), (one) => one.crash()),
);

/** One key has far more events than others, and members do what they are given. */
const rush = fc.oneof(
  { weight: 3, arbitrary: happening },
  act(3, fc.array(hotEvent, { minLength: 3, maxLength: 8 }), (one, events) => one.grow(events)),
  act(3, fc.constant(null), (one) => one.read()),
  act(3, fc.nat(9), (one, places) => one.readAgain(places + 1)),
  act(1, fc.tuple(connection, fc.integer({ min: 2, max: 4 })), (one, [id, capacity]) => {
    one.join(id, capacity, 3_000, []);
  }),
  act(8, which, (one, place) => {
    one.goOn();
    const told = pick(
      one.told.filter(({ offset, token }) => one.known.get(offset)?.token === token),
      place,
    );
    if (told !== undefined) one.settle(told.member, told, "done");
  }),
);

/** Each offset once: what a satellite would list. */
const latest = (told: readonly Told[]): Told[] => [...new Map(told.map((one) => [one.offset, one])).values()];

describe("whatever happens to the claims of a group, and in whatever order,", () => {
  it.each([
    ["", happening, 100],
    [", also where too many of one key wait", rush, 60],
  ])(
    "nothing is lost or done twice, each has one owner, keys stay in order, also after a crash, and everything ends%s",
    (_, happening, numRuns) => {
      fc.assert(
        fc.property(fc.array(happening, { maxLength: 100, size: "max" }), (happenings) => {
          const one = new Surroundings();
          for (const happen of happenings) {
            happen(one);
            one.check();
          }
          one.crash();
          one.finish();
        }),
        { numRuns },
      );
    },
  );

  it("members of the same capacity are given the same number of events, but for one", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 4 }),
        fc.infiniteStream(which),
        (count, capacity, luck) => {
          const claims = new Claims(rules, () => chance, { position: 0, token: 0 });
          for (let member = 0; member < count; member += 1) {
            claims.join({ id: `c${member}`, satellite: `driver:d${member}`, capacity, leaseMs: 1_000 }, 0);
          }
          const given = new Map<string, number>();
          let held: HandOver[] = [];
          for (let offset = 1; offset <= 200; offset += 1) {
            claims.look(offset, "pickup");
            const sent = claims.handOver(0) ? claims.commitRound(0) : [];
            for (const { member } of sent) given.set(member, (given.get(member) ?? 0) + 1);
            held.push(...sent);
            // All are answered at once, but at times that nobody chooses.
            if ((luck.next().value as number) % 3 > 0) continue;
            for (const { member, offset, token } of held) {
              const change = claims.settle(member, { offset, token, outcome: "done" }, 0);
              if (change !== undefined) claims.commit(change);
            }
            held = [];
          }
          const counts = [...given.values()];
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        },
      ),
    );
  });
});
