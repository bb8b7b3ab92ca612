import { setImmediate as nextTurn } from "node:timers/promises";
import { type Accepted, type ErrorCode, errorBody, OrreryError, type Receipt } from "@orrery/contracts";
import type { Appended, EventLog, NewEvent, RecordChange, Whole } from "@orrery/event-log";
import { type Admitted, isKept } from "./admit.ts";
import { type Heard, heardEncoder } from "./heard.ts";
import { Holds } from "./holds.ts";
import type { Limits } from "./limits.ts";
import type { Logger } from "./logger.ts";
import { workEventName } from "./work-fact.ts";

/**
 * Events that were emitted in one message, or records that change together, and whoever waits for them to be on disk. The
 * receipts come in the order of the events.
 */
interface Waiting {
  readonly events: readonly NewEvent[];
  readonly records: readonly RecordChange[];
  /** All of it happens or, where one of its events is refused, nothing. */
  readonly isWhole: boolean;
  /** Whose order over refusals is kept; undefined where it is not. */
  readonly connection: object | undefined;
  /** Undefined: of the hub itself. */
  readonly share: Share | undefined;
  /** What has the same is not written before what of it `leads` and came before. */
  readonly order?: object | undefined;
  readonly leads?: boolean | undefined;
  readonly answer: (receipts: readonly Receipt[], error?: unknown) => void;
}

interface CommitOptions {
  /** Whose share of a commit it takes, in the order of which it is written. Default: the hub's own. */
  readonly source?: object | undefined;
  /** What has the same order, and came later, does not overtake it where it `leads`. */
  readonly order?: object | undefined;
  readonly leads?: boolean;
  /** Where too much waits for the disk it is refused, with `HUB_BUSY`. */
  readonly mayBeRefused?: boolean;
}

/** A part of a commit. */
interface Share {
  readonly source: object;
  /** 1: all that a source may have of a commit where it has more. */
  readonly weight: number;
}

/**
 * Takes admitted events to disk and on. Events of all satellites wait in one queue; whatever waits when the log is free
 * is its next batch, so while one batch is written the next one gathers, and nothing waits on a timer. After the commit
 * come the receipts, then the fan-out, in the order of the log.
 */
export class Publisher {
  /** Offset of the newest event that was fanned out: what has a higher one, live listeners will still hear. */
  head: number;
  /** Who has to say first, now, what was refused for now. */
  readonly holds: Holds;
  readonly #log: EventLog;
  readonly #limits: Limits;
  readonly #logger: Logger;
  readonly #fanOut: (events: readonly Heard[]) => void;
  readonly #toHeard = heardEncoder();
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  #isWriting = false;
  readonly #lazyRecords = new Map<string, string | null>();
  #lazyTimer: NodeJS.Timeout | undefined;
  #whenIdle: (() => void)[] = [];

  constructor(log: EventLog, limits: Limits, logger: Logger, fanOut: (events: readonly Heard[]) => void) {
    this.head = log.head;
    this.#log = log;
    this.#limits = limits;
    this.#logger = logger;
    this.#fanOut = fanOut;
    this.holds = new Holds(limits.resendMs, () => performance.now());
  }

  /**
   * `answer` is called once, with a receipt for each event, in order. With a `connection`, what it says is kept in order
   * over refusals that are for now only: see `Holds`. `source`: who has said it, where that is not the connection.
   */
  publish(
    events: readonly Admitted[],
    connection: object | undefined,
    answer: (receipts: readonly Receipt[]) => void,
    source = connection,
  ): void {
    const kept = events.filter(isKept);
    if (kept.length === events.length) return this.#enqueue(kept, connection, source, answer);
    // Events that are not kept go out at once; the others of the same message wait for the disk as ever.
    const passing = events.filter((event) => !isKept(event));
    this.#fanOut(passing.map((event) => this.#toHeard(event, null)));
    this.#enqueue(kept, connection, source, (receipts) => {
      const next = receipts.values();
      const receiptOf = (event: Admitted) =>
        isKept(event) ? (next.next().value as Receipt) : ({ ok: true, id: event.id, offset: null } as const);
      answer(events.map(receiptOf));
    });
  }

  /** Changes records, in the order of commits. Resolves when they are on disk; rejects where the log refuses. `order`: as in `commit`. */
  async record(records: readonly RecordChange[], order?: object): Promise<void> {
    for (const { name } of records) this.#lazyRecords.delete(name);
    await this.commit([], records, { order });
  }

  /**
   * Commits events and records together. Rejects where the log refuses them, and with the first refusal of an event, such as
   * `ID_REUSED`; then nothing of it happened.
   */
  commit(
    events: readonly NewEvent[],
    records: readonly RecordChange[],
    { source, order, leads, mayBeRefused = false }: CommitOptions = {},
  ): Promise<readonly Accepted[]> {
    const bytes = bytesOf(events);
    if (mayBeRefused && this.#isTooMuch(bytes)) return Promise.reject(new OrreryError("HUB_BUSY"));
    this.#queuedBytes += bytes;
    const share = source && { source, weight: weightOf(events, records) };
    return new Promise((resolve, reject) => {
      const answer = (receipts: readonly Receipt[], error?: unknown) => {
        const refused = receipts.find((receipt) => !receipt.ok);
        if (error !== undefined) reject(error);
        else if (refused !== undefined) reject(OrreryError.from(refused.error));
        else resolve(receipts as readonly Accepted[]);
      };
      this.#push({ events, records, isWhole: true, connection: undefined, share, order, leads, answer });
    });
  }

  /** Changes a record with the next commit, but in a second at the latest. A later change of it takes its place. */
  recordLazily({ name, value }: RecordChange): void {
    this.#lazyRecords.set(name, value);
    this.#lazyTimer ??= setTimeout(() => this.#recordLazyOnes(), lazyMs).unref();
  }

  #recordLazyOnes(): void {
    clearTimeout(this.#lazyTimer);
    this.#lazyTimer = undefined;
    if (this.#lazyRecords.size === 0) return;
    this.#push({
      events: [],
      records: [],
      isWhole: false,
      connection: undefined,
      share: undefined,
      answer: () => undefined,
    });
  }

  /** Resolves when everything that was published has its receipt, and all records are on disk. */
  async idle(): Promise<void> {
    this.#recordLazyOnes();
    if (this.#isWriting) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #enqueue(
    events: readonly NewEvent[],
    connection: object | undefined,
    source: object | undefined,
    answer: Waiting["answer"],
  ): void {
    if (events.length === 0) return answer([]);
    const held = connection && this.holds.refusalOf(connection, events);
    if (held !== undefined) return answer(refusals(events.length, held));
    const bytes = bytesOf(events);
    if (this.#isTooMuch(bytes)) {
      if (connection !== undefined) this.holds.hold(connection, events, "HUB_BUSY");
      return answer(refusals(events.length, "HUB_BUSY"));
    }
    this.#queuedBytes += bytes;
    const parts = partsOf(events);
    const all: Receipt[] = [];
    let answered = 0;
    const answerPart: Waiting["answer"] = (receipts, error) => {
      all.push(...receipts);
      answered += 1;
      if (answered === parts.length) answer(all, error);
    };
    for (const { events: part, weight } of parts) {
      const share = source && { source, weight };
      this.#push({ events: part, records: [], isWhole: false, connection, share, answer: answerPart });
    }
  }

  /** What is larger than the whole queue still passes when it has the queue to itself. */
  #isTooMuch(bytes: number): boolean {
    return this.#queuedBytes > 0 && bytes > 0 && this.#queuedBytes + bytes > this.#limits.queueBytes;
  }

  #push(waiting: Waiting): void {
    this.#queue.push(waiting);
    if (this.#isWriting) return;
    this.#isWriting = true;
    // What else this turn brings belongs to the same commit: 42 events in one instead of 30 under load.
    setImmediate(() => void this.#write());
  }

  async #write(): Promise<void> {
    while (this.#queue.length > 0) {
      const waiting = this.#nextBatch();
      const batch: NewEvent[] = [];
      const lazy = [...this.#lazyRecords].map(([name, value]) => ({ name, value }));
      const wholes: Whole[] = [];
      for (const { events, records: changes, isWhole } of waiting) {
        if (isWhole) wholes.push({ first: batch.length, count: events.length, records: changes });
        batch.push(...events);
      }
      this.#lazyRecords.clear();
      this.#queuedBytes -= bytesOf(batch);
      try {
        this.#committed(waiting, batch, await this.#log.append(batch, lazy, wholes));
        // What follows from a settle, above all the next hand-over, belongs to the next commit.
        if (wholes.length > 0) await nextTurn();
      } catch (error) {
        const code = error instanceof OrreryError && error.code === "LOG_FULL" ? "LOG_FULL" : "LOG_FAILED";
        this.#logger.error({ err: error, events: batch.length }, "the log refused a batch");
        for (const change of lazy) if (!this.#lazyRecords.has(change.name)) this.recordLazily(change);
        this.#refuse(waiting, code, error);
      }
    }
    this.#isWriting = false;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** Refuses what was to be committed, and what the same connections have in the queue behind it. */
  #refuse(failed: readonly Waiting[], code: ErrorCode, error: unknown): void {
    const connections = new Set(failed.map(({ connection }) => connection));
    connections.delete(undefined);
    const isBehind = ({ connection }: Waiting) => connections.has(connection);
    const behind = this.#queue.filter(isBehind);
    if (behind.length > 0) this.#queue = this.#queue.filter((waiting) => !isBehind(waiting));
    for (const { events } of behind) this.#queuedBytes -= bytesOf(events);
    for (const { events, connection, answer } of [...failed, ...behind]) {
      // Once for each, with the first that it said.
      if (connection !== undefined && connections.delete(connection)) {
        this.holds.hold(connection, events, code);
      }
      answer(refusals(events.length, code), error);
    }
  }

  /** As many as fit into a commit, but one at least, and of one source its share: others do not wait behind all that it has said. */
  #nextBatch(): Waiting[] {
    const batch: Waiting[] = [];
    const left: Waiting[] = [];
    const taken = new Map<object | undefined, number>();
    const behind = new Set<object>();
    let total = 0;
    let isFull = false;
    for (const waiting of this.#queue) {
      const { share, order, leads, events } = waiting;
      const weight = (taken.get(share?.source) ?? 0) + (share?.weight ?? 0);
      const isBehind = order !== undefined && behind.has(order);
      const isOver = isBehind || (weight > 1 && taken.has(share?.source));
      if (!isOver) isFull ||= batch.length > 0 && total + events.length > this.#limits.commitEvents;
      if (isOver || isFull) {
        left.push(waiting);
        if (share !== undefined) taken.set(share.source, 1); // what it said behind this waits as well
        if (order !== undefined && leads) behind.add(order);
        continue;
      }
      batch.push(waiting);
      total += events.length;
      taken.set(share?.source, weight);
    }
    this.#queue = left;
    return batch;
  }

  #committed(waiting: readonly Waiting[], batch: readonly NewEvent[], appended: readonly Appended[]): void {
    const fresh: Heard[] = [];
    let { head } = this;
    batch.forEach((event, place) => {
      const result = appended[place] as Appended;
      if (!("offset" in result) || result.duplicate) return;
      head = result.offset;
      if (event.event !== workEventName) fresh.push(this.#toHeard(event, result.offset));
    });
    let place = 0;
    for (const { events, answer } of waiting) {
      answer(events.map((event) => receiptOf(event, appended[place++] as Appended)));
    }
    this.head = head;
    this.#fanOut(fresh);
  }
}

/** How long a lazy record may wait for a commit to go with. Milliseconds. */
const lazyMs = 1_000;

/** Of one source in one commit, also where nobody else waits: who comes meanwhile does. One or two ms of the log's work. */
const shareEvents = 64;
const shareBytes = 24_576;

/** Where it only changes a small record, as much as an event. */
const weightOf = (events: readonly NewEvent[], records: readonly RecordChange[]): number =>
  Math.max(
    1 / shareEvents,
    events.reduce((sum, event) => sum + weightOfOne(event), 0) +
      records.reduce((sum, { value }) => sum + Buffer.byteLength(value ?? "") / shareBytes, 0),
  );

/** With its key, which may be as long as its data: what a group notes of an event of it has little else. */
const weightOfOne = ({ data, key = "" }: NewEvent): number =>
  Math.max(1 / shareEvents, (Buffer.byteLength(data) + Buffer.byteLength(key)) / shareBytes);

/** A source's events for as many commits: each part is its share of one at most, or one event that is larger. */
function partsOf(events: readonly NewEvent[]): readonly Part[] {
  const parts: Part[] = [];
  let part: Part | undefined;
  for (const event of events) {
    const weight = weightOfOne(event);
    if (part === undefined || part.weight + weight > 1) {
      part = { events: [], weight: 0 };
      parts.push(part);
    }
    part.events.push(event);
    part.weight += weight;
  }
  return parts;
}

interface Part {
  readonly events: NewEvent[];
  weight: number;
}

const bytesOf = (events: readonly NewEvent[]): number =>
  events.reduce((sum, { data }) => sum + data.length, 0);

const refusals = (count: number, code: ErrorCode): Receipt[] =>
  Array.from({ length: count }, () => ({ ok: false, error: errorBody(code) }));

function receiptOf({ id }: NewEvent, appended: Appended): Receipt {
  // One that was withheld is answered as the one that was the reason.
  if ("error" in appended) return { ok: false, error: errorBody("ID_REUSED") };
  const { offset, duplicate } = appended;
  return duplicate ? { ok: true, id, offset, duplicate } : { ok: true, id, offset };
}
