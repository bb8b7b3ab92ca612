import { errorBody, type HeardEntry, type HistoryEntry, type HistoryReply } from "@orrery/contracts";
import type { EventLog, Filter, StoredEvent } from "@orrery/event-log";
import { z } from "zod";
import type { HubSocket } from "./audience.ts";
import type { ClaimRecord } from "./claim-record.ts";
import { filterOf } from "./filter-of.ts";
import { type Place, placeFrom, placeText, start, textOf } from "./history-place.ts";
import { refused } from "./refused.ts";
import { slicesOf } from "./slices.ts";
import type { WorkGroups } from "./work.ts";
import { factsOf, type WorkFact, workEventName } from "./work-fact.ts";
import type { GroupTools } from "./work-group.ts";

const Request = z.strictObject({
  key: z.string().min(1).max(100_000),
  after: z.string().regex(placeText).optional(),
});

/** When who has one history under way may ask for the next. Milliseconds. */
const againMs = 100;
/** Places that one answer passes over. */
const mostPlaces = 1_000;
/** Of these, events that the log is asked for at once. */
const readAtOnce = 50;

/** Of what came of a key's events, so much is looked at for one answer, and is one block: the hub is at it for 9 ms at most at once. */
const blockFacts = 1_000;

/** One event, or what happened to it, or both. Told by then: up to `place`. */
interface Told {
  /** Of the event. */
  readonly offset: number;
  /** `late`: its own place was passed before there was anything to tell of it; what came of another event was told there. */
  readonly event: "none" | "told" | "late";
  readonly entries: readonly HistoryEntry[];
  readonly place: Place;
}

/** What comes behind a place, in order. */
interface Behind {
  readonly told: readonly Told[];
  /** Where there is more behind all of it: from where that is told. */
  readonly more?: Place;
}

/**
 * What happened to a key: the events that groups worked on, what came of them, and how each attempt ended, in the order of
 * the log; then what is not settled. An event that no group has looked at is not in it. One that is in an earlier block than the
 * end of the first attempt at it comes with that, since only there the hub finds that it was worked on.
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
    const { key, after } = request.data;
    let at = after === undefined ? start : placeFrom(after);
    const behind = await this.#behind(key, at);
    const page = behind.told.slice(0, mostPlaces);
    const mayHear = new Map<number, boolean>();
    const entries: HistoryEntry[] = [];
    let length = 0;
    for (const some of slicesOf(page, readAtOnce)) {
      const unread = some.filter(({ offset, event }) => event !== "none" || !mayHear.has(offset));
      const events = await this.#eventsAt(new Set(unread.map(({ offset }) => offset)), filter);
      for (const [offset, event] of events) mayHear.set(offset, event !== undefined);
      for (const one of some) {
        if (mayHear.get(one.offset)) {
          const told = [...eventIn(one, events.get(one.offset)), ...one.entries];
          length += JSON.stringify(told).length;
          if (entries.length > 0 && length > limits.messageBytes)
            return { ok: true, entries, next: textOf(at) };
          entries.push(...told);
        }
        at = one.place;
      }
    }
    const more = page.length < behind.told.length ? at : behind.more;
    return { ok: true, entries, ...(more !== undefined && { next: textOf(more) }) };
  }

  async #behind(key: string, { offset: after, open, block }: Place): Promise<Behind> {
    const isInBlocks = open === undefined;
    const caused = await this.#log.caused({
      contract: this.#tools.contract.name,
      key,
      dataOf: workEventName,
      after: isInBlocks ? block : after,
      limit: blockFacts,
    });
    const through = caused.at(-1)?.offset ?? after;
    const isWhole = caused.length === blockFacts;
    const claims = isInBlocks && isWhole ? [] : [...this.#groups.ofKey(key)];
    const facts = caused.filter(isFact).map(factOf);
    const others = caused.filter((event) => !isFact(event)).map(({ offset }) => offset);
    const unsettled = [...openOf(claims)].filter(([offset]) => offset > (open ?? 0));
    const stillOpen = unsettled.slice(0, mostPlaces + 1); // one more than is told now, if there is one
    const worked = [...facts, ...claims.map(({ claim }) => claim)].map(({ offset }) => offset);
    const early = [...facts.map(({ offset }) => offset), ...stillOpen.map(([offset]) => offset)];
    const firstFacts = await this.#firstFacts(early.filter((offset) => offset <= block));
    const placeAt = (offset: number): Place =>
      isInBlocks && isWhole ? { offset, block } : { offset, block, open: open ?? 0 };
    const isLate = (offset: number) => offset <= block && offset > (open ?? 0);
    const inLog = [
      ...facts.map(({ at, offset, entries }): Told => {
        const event = isLate(offset) && firstFacts.get(offset) === at ? "late" : "none";
        return { offset, event, entries, place: placeAt(at) };
      }),
      ...Array.from(
        new Set([...worked, ...others].filter((offset) => offset > block)),
        (offset): Told => ({ offset, event: "told", entries: [], place: placeAt(offset) }),
      ),
    ]
      .filter(({ place }) => place.offset > after && (!isWhole || place.offset <= through))
      .sort((a, b) => a.place.offset - b.place.offset);
    if (isWhole)
      return { told: inLog, more: isInBlocks ? { offset: through, block: through } : placeAt(through) };
    const hasNoFact = (offset: number) => (firstFacts.get(offset) ?? Infinity) > through;
    const told = inLog.at(-1)?.place ?? placeAt(after);
    const isOpen = stillOpen.map(([offset, entries]): Told => {
      const event = isLate(offset) && hasNoFact(offset) ? "late" : "none";
      return { offset, event, entries, place: { ...told, open: offset } };
    });
    return { told: [...inLog, ...isOpen] };
  }

  /** Where the first attempt at each of these events ended, so far as one did. */
  async #firstFacts(offsets: Iterable<number>): Promise<ReadonlyMap<number, number>> {
    const of = new Map(Array.from(offsets, (offset) => [factsOf(offset), offset]));
    const found = await this.#log.firstOffsets(this.#tools.contract.name, [...of.keys()]);
    return new Map(Array.from(found, ([beginning, at]) => [of.get(beginning) as number, at]));
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

const isFact = ({ event }: StoredEvent): boolean => event === workEventName;

/** `heard`: the event, where it may be heard, and was read. */
function eventIn({ event }: Told, heard: HeardEntry | undefined): readonly HistoryEntry[] {
  if (event === "none" || heard === undefined) return [];
  const wasTold = event === "late" && heard[2].causationId !== undefined;
  return wasTold ? [] : [{ kind: "event", event: heard }];
}

/** `offset` is the event's, `at` the fact's own. */
function factOf({ offset: at, timeMs, data }: StoredEvent) {
  const fact: WorkFact = JSON.parse(data);
  const { role: _, ...told } = fact;
  const entry: HistoryEntry = { kind: "attempt", time: new Date(timeMs).toISOString(), ...told };
  return { at, offset: fact.offset, entries: [entry] };
}

/** What is not settled, by the events' offsets, in order. */
function openOf(
  claims: readonly { readonly group: { readonly group: string }; readonly claim: ClaimRecord }[],
): ReadonlyMap<number, readonly HistoryEntry[]> {
  const unsettled = new Map<number, HistoryEntry[]>();
  for (const { group, claim } of [...claims].sort((a, b) => a.claim.offset - b.claim.offset)) {
    const entries = openEntries(group.group, claim);
    const others = unsettled.get(claim.offset);
    if (others !== undefined) others.push(...entries);
    else if (entries.length > 0) unsettled.set(claim.offset, entries);
  }
  return unsettled;
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
