import { createHash } from "node:crypto";
import {
  type Contract,
  type Cursor,
  type DeadEvent,
  type DeadReply,
  type DoneReply,
  type ErrorCode,
  type Gap,
  type GroupsReply,
  type HoldReply,
  type Identity,
  nameOf,
  OrreryError,
  type SettledReply,
  type SettleReply,
  satelliteId,
  type WorkReply,
} from "@orrery/contracts";
import type { EventLog, Filter, NewEvent } from "@orrery/event-log";
import { z } from "zod";
import { type Admitted, type Claimed, givenId, isKept } from "./admit.ts";
import type { HubSocket } from "./audience.ts";
import type { Together } from "./claim-outcome.ts";
import { type ClaimRecord, claimFrom, type DeadRecord } from "./claim-record.ts";
import { cursorOf, From, startFrom } from "./cursor.ts";
import { filterName, filterOf } from "./filter-of.ts";
import type { Limits } from "./limits.ts";
import { listOf, mostListed } from "./list-of.ts";
import { refused } from "./refused.ts";
import { hearsOwn } from "./rights.ts";
import { slicesOf } from "./slices.ts";
import { claimRecord, type GroupRecord, type GroupTools, groupRecord, WorkGroup } from "./work-group.ts";

const Name = z.string().regex(satelliteId);
const Token = z.strictObject({ offset: z.int().positive(), token: z.int().positive() });
const Grouped = z.strictObject({ group: Name });
const Dead = z.strictObject({ group: Name, after: z.int().nonnegative().default(0) });
const Placed = z.strictObject({ group: Name, offset: z.int().positive() });
const Hold = z.strictObject({ group: Name, claims: listOf(Token, 10_000) });
const ClaimOption = z.strictObject({ group: Name, offset: z.int().positive(), token: z.int().positive() });
const Work = z.strictObject({
  group: Name,
  events: listOf(z.string(), mostListed, 1),
  rooms: listOf(z.string(), mostListed).optional(),
  from: From,
  capacity: z.int().min(0).max(10_000),
  leaseMs: z.int().min(100).max(600_000).default(30_000),
  attempts: z.int().min(1).max(1_000).default(5),
  backoffMs: z.int().min(0).max(60_000).default(1_000),
  held: listOf(Token, 10_000).default([]),
});
const SettleRequest = z.strictObject({
  group: Name,
  settles: listOf(
    Token.extend({
      outcome: z.enum(["done", "retry", "dead", "back"]),
      error: z.string().optional(),
      events: listOf(listOf(z.unknown(), 3, 1), 1_000).optional(),
    }),
    1_000,
  ),
});
type SettleItem = z.infer<typeof SettleRequest>["settles"][number];

/** Checks an event that comes of a claim. */
export type Admit = (entry: readonly unknown[], claimed: Claimed) => Admitted | { readonly code: ErrorCode };

/** The work groups of one contract: who shares work, and what satellites say and ask of it. */
export class WorkGroups {
  readonly #contract: Contract;
  readonly #log: EventLog;
  readonly #limits: Limits;
  readonly #tools: GroupTools;
  readonly #groups = new Map<string, WorkGroup>();
  /** By the satellites that were the first to name them. */
  readonly #togethers = new Map<string, Together>();
  /** Those whose first record is on its way to disk, and who was the first to name them. */
  readonly #making = new Map<string, { readonly by: string; readonly group: Promise<WorkGroup> }>();
  #loading: Promise<void> | undefined;

  constructor(log: EventLog, tools: GroupTools) {
    this.#contract = tools.contract;
    this.#log = log;
    this.#limits = tools.limits;
    this.#tools = tools;
    this.#loaded().catch((error) => tools.logger.error({ err: error }, "the groups could not be read"));
  }

  /** For `hub:work`. */
  async work(socket: HubSocket, message: unknown): Promise<WorkReply> {
    const request = Work.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const { group: name, events, rooms, from, capacity, leaseMs, attempts, backoffMs, held } = request.data;
    const filter = filterOf(this.#contract, socket.data.identity, events, rooms, this.#limits);
    if ("code" in filter) return { ok: false, error: filter };
    await this.#loaded();
    const full = this.#nameFor(socket.data.identity, name, events);
    let group = this.#named(socket, name);
    let gap: Cursor | undefined;
    if (group === undefined) {
      const start = await startFrom(from, this.#log, this.#tools.publisher);
      if (start === undefined) return refused("CURSOR_INVALID");
      if (!this.#hasRoomFor(full, socket)) return refused("GROUPS_TOO_MANY");
      const position = start.offset;
      gap = start.gap;
      const { role, id } = socket.data.identity;
      const named = [...filter.events.keys()]; // each once, however often it was said
      const record = { role, id, group: name, events: named, rooms, position, token: 0, attempts, backoffMs };
      group = await this.#create(full, record, filter);
    }
    if (filterName(group.filter) !== filterName(filter)) return refused("GROUP_DIFFERS");
    if (!socket.connected) return refused("HUB_CLOSING"); // gone while the log was asked
    const satellite = nameOf(socket.data.identity);
    const cursor = cursorOf(this.#log.epoch, group.claims.position);
    // After the reply, and before the first claims.
    if (gap !== undefined) {
      const told: Gap = { reason: "epoch", after: gap, until: cursor, group: name };
      setImmediate(() => socket.emit("hub:gap", told));
    }
    const lost = group.join(socket, { satellite, capacity, leaseMs, held }, { attempts, backoffMs });
    return { ok: true, cursor, leaseMs, graceMs: this.#limits.graceMs, lost };
  }

  /** For `hub:hold`. */
  async hold(socket: HubSocket, message: unknown): Promise<HoldReply> {
    const request = Hold.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const group = await this.#find(socket, request.data.group);
    return group === undefined
      ? refused("GROUP_UNKNOWN")
      : { ok: true, lost: group.hold(socket, request.data.claims) };
  }

  /** For `hub:settle`. `admit` checks what comes of the claims. */
  async settle(socket: HubSocket, message: unknown, admit: Admit): Promise<SettleReply> {
    const request = SettleRequest.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    if (this.#tools.isClosing()) return refused("HUB_CLOSING");
    const group = await this.#find(socket, request.data.group);
    if (group === undefined) return refused("GROUP_UNKNOWN");
    const replies = await Promise.all(
      request.data.settles.map((one) => this.#settleOne(group, socket, one, admit)),
    );
    return { ok: true, replies };
  }

  async #settleOne(
    group: WorkGroup,
    socket: HubSocket,
    { events = [], offset, token, outcome, error }: SettleItem,
    admit: Admit,
  ): Promise<SettledReply> {
    const said = saidIn(offset, outcome, events);
    const claimed = group.claimed(socket, { offset, token });
    if (claimed === undefined) return replyTo(group.settledBefore(socket, token, said));
    if (events.length > 0 && outcome !== "done") return refused("MESSAGE_INVALID");
    const admitted: NewEvent[] = [];
    for (const entry of events) {
      const result = admit(entry, claimed);
      if ("code" in result) return { ok: false, error: result as never };
      // What is not on disk cannot be there together with the settle.
      if (!isKept(result)) return refused("MESSAGE_INVALID");
      admitted.push(result);
    }
    const ended = { offset, token, outcome, ...(error !== undefined && { error }) };
    return replyTo(group.settle(socket, ended, admitted, said));
  }

  /** For an event said under a claim: what it comes of, or what to refuse it with. */
  claimed(socket: HubSocket, option: unknown): Claimed | ErrorCode {
    const claim = ClaimOption.safeParse(option);
    if (!claim.success) return "MESSAGE_INVALID";
    const { group } = claim.data;
    return this.#named(socket, group)?.claimed(socket, claim.data) ?? "LEASE_LOST";
  }

  /** For `hub:groups`. */
  async list(socket: HubSocket): Promise<GroupsReply> {
    await this.#loaded();
    const { epoch } = this.#log;
    const groups = this.#ofRole(socket).map(({ record, claims }) => ({
      group: record.group,
      events: record.events,
      cursor: cursorOf(epoch, claims.lookedAtAllThrough),
      lag: this.#tools.publisher.head - claims.lookedAtAllThrough,
      ...claims.counts,
      members: [...claims.members].map(({ satellite, capacity, claims: held }) => ({
        satellite,
        capacity,
        held: held.size,
      })),
    }));
    return { ok: true, groups };
  }

  /** For `hub:dead`. */
  async dead(socket: HubSocket, message: unknown): Promise<DeadReply> {
    const request = Dead.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const { after } = request.data;
    const group = await this.#find(socket, request.data.group);
    if (group === undefined) return refused("GROUP_UNKNOWN");
    const page = group.claims.dead(after, mostDead);
    const dead: DeadEvent[] = [];
    let length = 0;
    // Beside each other: one by one, a thousand took more than ten seconds on a busy machine.
    for (const some of slicesOf(page, readAtOnce)) {
      for (const one of await Promise.all(some.map((record) => this.#deadEvent(record, group.filter)))) {
        length += JSON.stringify(one).length;
        if (dead.length > 0 && length > this.#limits.messageBytes) return { ok: true, dead };
        dead.push(one);
      }
    }
    return { ok: true, dead };
  }

  async #deadEvent(
    { offset, reason, attempt, error, by, timeMs }: DeadRecord,
    filter: Filter,
  ): Promise<DeadEvent> {
    const event = (await this.#tools.reader.entryAt(offset, filter)) ?? null;
    return { offset, reason, attempts: attempt, error, by, time: new Date(timeMs).toISOString(), event };
  }

  /** For `hub:redrive` and `hub:drop`. */
  async endDeath(how: "redrive" | "drop", socket: HubSocket, message: unknown): Promise<DoneReply> {
    const request = Placed.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const group = await this.#find(socket, request.data.group);
    if (group === undefined) return refused("GROUP_UNKNOWN");
    if (await group.endDeath(how, request.data.offset)) return { ok: true };
    return refused(this.#tools.isClosing() ? "HUB_CLOSING" : "NOT_DEAD");
  }

  /** For `hub:forget` of a group. */
  async forget(socket: HubSocket, message: unknown): Promise<DoneReply> {
    const request = Grouped.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const group = await this.#find(socket, request.data.group);
    if (group === undefined) return refused("GROUP_UNKNOWN");
    await group.forget();
    if (this.#groups.get(group.name) === group) this.#drop(group);
    this.#tools.onRoom();
    return { ok: true };
  }

  /** There may be more to look at: the log has grown, or there is room again. */
  look(): void {
    for (const group of this.#groups.values()) if (group.claims.wantsToLook) group.pump();
  }

  /** The socket is gone. */
  leave(socket: HubSocket): void {
    for (const group of this.#groups.values()) group.leave(socket);
  }

  end(): void {
    for (const group of this.#groups.values()) void group.end();
  }

  /** What groups have not settled of a key. */
  *ofKey(key: string): Iterable<{ readonly group: GroupRecord; readonly claim: ClaimRecord }> {
    for (const { record, claims } of this.#groups.values())
      for (const claim of claims.ofKey(key)) yield { group: record, claim };
  }

  /** Those that are being made count, too: many may be asked for at once. */
  #hasRoomFor(full: string, { data: { identity } }: HubSocket): boolean {
    if (this.#groups.has(full) || this.#making.has(full)) return true;
    const by = nameOf(identity);
    const firstNamedBy = [
      ...[...this.#groups.values()].map(({ record }) => nameOf(record)),
      ...[...this.#making.values()].map((making) => making.by),
    ];
    const own = firstNamedBy.filter((name) => name === by).length;
    return firstNamedBy.length < this.#limits.groups && own < this.#limits.groupsPerSatellite;
  }

  /** Two members may ask at once: they get the same one. */
  #create(full: string, record: GroupRecord, filter: Filter): Promise<WorkGroup> {
    const known = this.#groups.get(full) ?? this.#making.get(full)?.group;
    if (known !== undefined) return Promise.resolve(known);
    const group = this.#make(full, record, filter).finally(() => this.#making.delete(full));
    this.#making.set(full, { by: nameOf(record), group });
    return group;
  }

  async #make(full: string, record: GroupRecord, filter: Filter): Promise<WorkGroup> {
    await this.#tools.publisher.record([{ name: groupRecord(full), value: JSON.stringify(record) }]);
    const group = this.#groupOf(full, record, filter, []);
    this.#groups.set(full, group);
    return group;
  }

  #groupOf(full: string, record: GroupRecord, filter: Filter, claims: readonly ClaimRecord[]): WorkGroup {
    return new WorkGroup(full, record, filter, claims, this.#togetherOf(record), this.#tools);
  }

  /** What the claims of the satellite's groups are counted by. */
  #togetherOf(firstNamedBy: Identity): Together {
    const by = nameOf(firstNamedBy);
    const known = this.#togethers.get(by);
    if (known !== undefined) return known;
    const { claims: all } = this.#tools;
    const together = { count: 0, most: this.#limits.claimsPerSatellite, all };
    this.#togethers.set(by, together);
    all.parts += 1;
    return together;
  }

  #drop(group: WorkGroup): void {
    this.#groups.delete(group.name);
    const by = nameOf(group.record);
    const areOthers = [...this.#groups.values()].some(({ together }) => together === group.together);
    if (!areOthers && this.#togethers.delete(by)) this.#tools.claims.parts -= 1;
  }

  async #find(socket: HubSocket, group: string): Promise<WorkGroup | undefined> {
    await this.#loaded();
    return this.#named(socket, group);
  }

  /** The satellite's own, or its role's. */
  #named(socket: HubSocket, group: string): WorkGroup | undefined {
    const [own, shared] = this.#placesOf(socket.data.identity);
    return this.#groups.get(`${own}${group}`) ?? this.#groups.get(`${shared}${group}`);
  }

  /** Reads once what an earlier run of the hub has kept; where the log fails, the next one who asks tries again. */
  #loaded(): Promise<void> {
    this.#loading ??= this.#load().catch((error) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** A group whose events the contract has no more, or which would be somebody else's by it, rests. */
  async #load(): Promise<void> {
    const prefix = `${this.#contract.name}/`;
    for (const [name, value] of await this.#log.records(groupRecord(prefix))) {
      const full = name.slice(groupRecord("").length);
      if (this.#groups.has(full)) continue;
      const record: GroupRecord = JSON.parse(value);
      const filter = filterOf(this.#contract, record, record.events, record.rooms, this.#limits);
      if ("code" in filter || this.#nameFor(record, record.group, record.events) !== full) {
        const code = "code" in filter ? filter.code : "GROUP_DIFFERS";
        this.#tools.logger.error({ group: full, code }, "a group does not fit the contract");
        continue;
      }
      const claims = [...(await this.#log.records(claimRecord(full))).values()].map(claimFrom);
      const group = this.#groupOf(full, record, filter, claims);
      try {
        await group.load(claims.filter(({ state }) => state === "held").map(({ offset }) => offset));
      } catch (error) {
        group.claims.forget(); // it is made anew by the next one who asks
        throw error;
      }
      this.#groups.set(full, group);
    }
  }

  /**
   * All satellites of a role share a group. But what a role hears only as its own, no other satellite of it may see, nor take the
   * group's name away: such a group is the satellite's.
   */
  #nameFor(identity: Identity, group: string, events: readonly string[]): string {
    const [own, shared] = this.#placesOf(identity);
    return `${hearsOwn(this.#contract, identity.role, events) ? own : shared}${group}`;
  }

  #placesOf(identity: Identity): readonly [own: string, shared: string] {
    const { name } = this.#contract;
    return [`${name}/${nameOf(identity)}/`, `${name}/${identity.role}/`];
  }

  #ofRole(socket: HubSocket): WorkGroup[] {
    const places = this.#placesOf(socket.data.identity);
    return [...this.#groups.values()].filter(({ name }) => places.some((place) => name.startsWith(place)));
  }
}

/** Dead events in one answer; fewer, where they are longer than a message. */
const mostDead = 1_000;
/** Of these, those that the log is asked for at once. */
const readAtOnce = 50;

async function replyTo(settled: ReturnType<WorkGroup["settle"]>): Promise<SettledReply> {
  try {
    const receipts = await settled;
    return receipts === undefined ? refused("LEASE_LOST") : { ok: true, receipts };
  } catch (failure) {
    return refused(failure instanceof OrreryError ? failure.code : "LOG_FAILED");
  }
}

/** The same where a settle comes again, since its answer got lost. */
function saidIn(offset: number, outcome: string, events: readonly (readonly unknown[])[]): string {
  const names = events.map(([name, , options]) => [typeof name === "string" ? name : "", givenId(options)]);
  return createHash("sha256")
    .update(JSON.stringify([offset, outcome, names]))
    .digest("base64");
}
