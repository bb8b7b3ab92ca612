import { errorBody, type HeardEntry, type HistoryEntry, type HistoryReply } from "@orrery/contracts";
import { type EventLog, type Filter, isWanted, type StoredEvent } from "@orrery/event-log";
import { z } from "zod";
import type { HubSocket } from "./audience.ts";
import type { ClaimRecord } from "./claim-record.ts";
import { filterOf } from "./filter-of.ts";
import { heardEncoder } from "./heard.ts";
import type { Limits } from "./limits.ts";
import { refused } from "./refused.ts";
import type { WorkGroups } from "./work.ts";
import { type WorkFact, workEventName } from "./work-fact.ts";
import type { GroupTools } from "./work-group.ts";

const Request = z.strictObject({ key: z.string().min(1).max(100_000) });

/** When who has one history under way may ask for the next. Milliseconds. */
const againMs = 100;

/** An entry, and the place in the log that it stands for. */
interface Placed {
  readonly offset: number;
  readonly entry: HistoryEntry;
}

/**
 * What happened to a key: the events that groups worked on, what came of them, and how each attempt ended, in the order of
 * the log; then what is not settled. An event that no group has looked at is not in it.
 */
export class History {
  readonly #log: EventLog;
  readonly #limits: Limits;
  readonly #groups: WorkGroups;
  readonly #tools: Pick<GroupTools, "contract">;
  readonly #toHeard = heardEncoder();
  /** Who waits for an answer. */
  readonly #asking = new WeakSet<HubSocket>();

  constructor(log: EventLog, limits: Limits, groups: WorkGroups, tools: Pick<GroupTools, "contract">) {
    this.#log = log;
    this.#limits = limits;
    this.#groups = groups;
    this.#tools = tools;
  }

  /** For `hub:history`: one at a time of each connection, since it may be long. */
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
    const { contract } = this.#tools;
    const filter = filterOf(contract, socket.data.identity, undefined, undefined, this.#limits);
    if ("code" in filter) return { ok: false, error: filter };
    const { key } = request.data;
    const caused = await this.#log.caused(contract.name, key);
    const facts = caused.flatMap((event) => (event.event === workEventName ? [factOf(event)] : []));
    const open = [...this.#groups.ofKey(key)];
    const worked = new Set([
      ...facts.map(({ fact }) => fact.offset),
      ...open.map(({ claim }) => claim.offset),
    ]);
    const sources = await this.#sources(worked, filter);
    const isTold = (offset: number) => sources.has(offset);
    const placed: Placed[] = [
      ...[...sources].map(([offset, event]) => ({ offset, entry: { kind: "event", event } as const })),
      ...caused
        .filter((event) => isWanted(filter, event) && !sources.has(event.offset))
        .map((event) => ({
          offset: event.offset,
          entry: { kind: "event", event: this.#heard(event) } as const,
        })),
      ...facts.flatMap(({ offset, entry, fact }) => (isTold(fact.offset) ? [{ offset, entry }] : [])),
    ];
    const entries = placed.sort((a, b) => a.offset - b.offset).map(({ entry }) => entry);
    for (const { group, claim } of open) {
      if (isTold(claim.offset)) entries.push(...entryOf(group.group, claim));
    }
    return { ok: true, entries };
  }

  async #sources(offsets: Iterable<number>, filter: Filter): Promise<ReadonlyMap<number, HeardEntry>> {
    const sources = new Map<number, HeardEntry>();
    for (const offset of offsets) {
      const { events } = await this.#log.read({ after: offset - 1, upTo: offset, filter });
      for (const event of events) sources.set(offset, this.#heard(event));
    }
    return sources;
  }

  #heard(event: StoredEvent): HeardEntry {
    return JSON.parse(this.#toHeard(event, event.offset).text);
  }
}

function factOf({ offset, timeMs, data }: StoredEvent): Placed & { readonly fact: WorkFact } {
  const fact: WorkFact = JSON.parse(data);
  const { role: _, ...told } = fact;
  return { offset, fact, entry: { kind: "attempt", time: new Date(timeMs).toISOString(), ...told } };
}

/** What is dead has its attempts in the log. */
function entryOf(group: string, claim: ClaimRecord): HistoryEntry[] {
  const { offset } = claim;
  switch (claim.state) {
    case "held": {
      const { attempt, by, untilMs } = claim;
      return [
        {
          kind: "attempt",
          group,
          offset,
          attempt,
          by,
          time: new Date(untilMs).toISOString(),
          outcome: "held",
        },
      ];
    }
    case "waiting":
      return claim.dueMs === 0
        ? [{ kind: "waiting", group, offset }]
        : [{ kind: "waiting", group, offset, dueTime: new Date(claim.dueMs).toISOString() }];
    case "dead":
      return [];
  }
}
