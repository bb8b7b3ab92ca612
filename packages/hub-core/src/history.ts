import { errorBody, type HeardEntry, type HistoryEntry, type HistoryReply } from "@orrery/contracts";
import type { EventLog, Filter, StoredEvent } from "@orrery/event-log";
import { z } from "zod";
import type { HubSocket } from "./audience.ts";
import type { ClaimRecord } from "./claim-record.ts";
import { filterOf } from "./filter-of.ts";
import { refused } from "./refused.ts";
import type { WorkGroups } from "./work.ts";
import { type WorkFact, workEventName } from "./work-fact.ts";
import type { GroupTools } from "./work-group.ts";

/** A `Place` as text: `"<offset>"`, or `"<offset>:<offset of a claim>"`. */
const next = /^(\d{1,15})(?::(\d{1,15}))?$/;
const Request = z.strictObject({
  key: z.string().min(1).max(100_000),
  after: z.string().regex(next).optional(),
});

/** When who has one history under way may ask for the next. Milliseconds. */
const againMs = 100;
/** Places that one answer passes over. */
const mostPlaces = 1_000;
/** Of these, events that the log is asked for at once. */
const readAtOnce = 50;

/** How far a history was told: in the log up to `offset`, and of what is not settled up to `open`. */
interface Place {
  readonly offset: number;
  readonly open: number;
}

/** The event at `offset`, or, where there are `entries`, what happened to it. Told by then: up to `place`. */
interface Told {
  readonly offset: number;
  readonly entries?: readonly HistoryEntry[];
  readonly place: Place;
}

/**
 * What happened to a key: the events that groups worked on, what came of them, and how each attempt ended, in the order of
 * the log; then what is not settled. An event that no group has looked at is not in it.
 */
export class History {
  readonly #log: EventLog;
  readonly #groups: WorkGroups;
  readonly #tools: Pick<GroupTools, "contract" | "reader" | "limits">;
  /** Who waits for an answer. */
  readonly #asking = new WeakSet<HubSocket>();

  constructor(log: EventLog, groups: WorkGroups, tools: Pick<GroupTools, "contract" | "reader" | "limits">) {
    this.#log = log;
    this.#groups = groups;
    this.#tools = tools;
  }

  /** For `hub:history`: as much as one message takes. One at a time of each connection, since it may be long. */
  async of(socket: HubSocket, message: unknown): Promise<HistoryReply> {
    if (this.#asking.has(socket)) return { ok: false, error: errorBody("RATE_LIMITED", undefined, againMs) };
    this.#asking.add(socket);
    try {
      return await this.#of(socket, message);
    } finally {
      this.#asking.delete(socket);
    }
  }

  /** A satellite is told of the events that it may hear, and of their attempts. */
  async #of(socket: HubSocket, message: unknown): Promise<HistoryReply> {
    const request = Request.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const { contract, limits } = this.#tools;
    const filter = filterOf(contract, socket.data.identity, undefined, undefined, limits);
    if ("code" in filter) return { ok: false, error: filter };
    let behind = placeFrom(request.data.after);
    const all = await this.#behind(request.data.key, behind);
    const page = all.slice(0, mostPlaces);
    const mayHear = new Map<number, boolean>();
    const entries: HistoryEntry[] = [];
    let length = 0;
    for (let first = 0; first < page.length; first += readAtOnce) {
      const some = page.slice(first, first + readAtOnce);
      const unread = some.filter(({ offset, entries }) => entries === undefined || !mayHear.has(offset));
      const events = await this.#eventsAt(new Set(unread.map(({ offset }) => offset)), filter);
      for (const [offset, event] of events) mayHear.set(offset, event !== undefined);
      for (const { place, offset, entries: told = entriesOf(events.get(offset)) } of some) {
        if (mayHear.get(offset)) {
          length += JSON.stringify(told).length;
          if (entries.length > 0 && length > limits.messageBytes)
            return { ok: true, entries, next: textOf(behind) };
          entries.push(...told);
        }
        behind = place;
      }
    }
    return { ok: true, entries, ...(page.length < all.length && { next: textOf(behind) }) };
  }

  /** What there is to tell behind a place, in order. */
  async #behind(key: string, { offset: after, open }: Place): Promise<readonly Told[]> {
    const caused = await this.#log.caused(this.#tools.contract.name, key, workEventName);
    const isFact = ({ event }: StoredEvent) => event === workEventName;
    const facts = caused.filter(isFact).map(factOf);
    const claims = [...this.#groups.ofKey(key)];
    const events = new Set([
      ...facts.map(({ offset }) => offset),
      ...claims.map(({ claim }) => claim.offset),
      ...caused.filter((event) => !isFact(event)).map(({ offset }) => offset),
    ]);
    const inLog = [...facts, ...Array.from(events, (offset) => ({ offset, at: offset }))]
      .filter(({ at }) => at > after)
      .sort((a, b) => a.at - b.at)
      .map(({ at, ...told }) => ({ ...told, place: { offset: at, open } }));
    const through = inLog.at(-1)?.place.offset ?? after;
    const unsettled = new Map<number, HistoryEntry[]>();
    for (const { group, claim } of claims) {
      const entries = openEntries(group.group, claim);
      const others = unsettled.get(claim.offset);
      if (others === undefined) unsettled.set(claim.offset, entries);
      else others.push(...entries);
    }
    const stillOpen = [...unsettled]
      .filter(([offset, entries]) => offset > open && entries.length > 0)
      .sort(([a], [b]) => a - b)
      .map(([offset, entries]) => ({ offset, entries, place: { offset: through, open: offset } }));
    return [...inLog, ...stillOpen];
  }

  /** Undefined where the filter does not want it, or retention has taken it. */
  async #eventsAt(
    offsets: Iterable<number>,
    filter: Filter,
  ): Promise<ReadonlyMap<number, HeardEntry | undefined>> {
    const read = async (offset: number) =>
      [offset, await this.#tools.reader.entryAt(offset, filter)] as const;
    return new Map(await Promise.all([...offsets].map(read)));
  }
}

function placeFrom(text = "0"): Place {
  const [, offset, open = "0"] = next.exec(text) ?? [];
  return { offset: Number(offset), open: Number(open) };
}

const textOf = ({ offset, open }: Place): string => (open === 0 ? `${offset}` : `${offset}:${open}`);

const entriesOf = (event: HeardEntry | undefined): readonly HistoryEntry[] =>
  event === undefined ? [] : [{ kind: "event", event }];

/** `offset` is the event's, `at` the fact's own. */
function factOf({ offset: at, timeMs, data }: StoredEvent) {
  const fact: WorkFact = JSON.parse(data);
  const { role: _, ...told } = fact;
  const entry: HistoryEntry = { kind: "attempt", time: new Date(timeMs).toISOString(), ...told };
  return { at, offset: fact.offset, entries: [entry] };
}

/** What is dead has its attempts in the log. */
function openEntries(group: string, claim: ClaimRecord): HistoryEntry[] {
  const { offset } = claim;
  switch (claim.state) {
    case "held": {
      const { attempt, by, untilMs } = claim;
      const time = new Date(untilMs).toISOString();
      return [{ kind: "attempt", group, offset, attempt, by, time, outcome: "held" }];
    }
    case "waiting":
      return claim.dueMs === 0
        ? [{ kind: "waiting", group, offset }]
        : [{ kind: "waiting", group, offset, dueTime: new Date(claim.dueMs).toISOString() }];
    case "dead":
      return [];
  }
}
