import type { Filter } from "./filter.ts";

/** An event as it goes into the log. */
export interface NewEvent {
  readonly contract: string;
  /** 1 to 128 characters, unique within the contract and the `idScope` for as long as the event is kept. */
  readonly id: string;
  /** Among whose ids its id is unique. Default: its source's, as CloudEvents has it. */
  readonly idScope?: string;
  readonly event: string;
  /** The value of the event's key; needed when `keep` is `latest`. */
  readonly key?: string;
  readonly rooms: readonly string[];
  /** Who said it: `vendor:acme`. */
  readonly source: string;
  /** When the hub took it in, milliseconds since 1970. */
  readonly timeMs: number;
  /** JSON text. */
  readonly data: string;
  /** The id of the event that it came of, where it came of one. */
  readonly cause?: string;
  /** `latest`: only the newest event per contract, name and key is kept. */
  readonly keep: "log" | "latest";
}

export interface StoredEvent extends NewEvent {
  readonly offset: number;
}

/**
 * `duplicate`: an event with this id, name and data, or this id, name and cause, was there before, and `offset` is its place. `ID_REUSED`: the id is
 * that of an event with another name or other data; nothing was appended for it. `WITHHELD`: another event of its whole was.
 */
export type Appended =
  | { readonly offset: number; readonly duplicate: boolean }
  | { readonly error: "ID_REUSED" | "WITHHELD" };

/**
 * A small durable value beside the events, such as a follower's cursor. `name`: 1 to 300 characters. `value`: JSON text;
 * null removes it.
 */
export interface RecordChange {
  readonly name: string;
  readonly value: string | null;
}

/** Events of a batch that are appended together, with these records, or, where one of them is `ID_REUSED`, not at all. */
export interface Whole {
  /** Place of its first event in the batch; wholes do not overlap, and come in the order of their places. */
  readonly first: number;
  /** How many events; may be 0. */
  readonly count: number;
  readonly records: readonly RecordChange[];
}

export interface ReadRequest {
  /** Events with a higher offset; 0 reads from the start. */
  readonly after: number;
  /** Events up to and including this offset. Default: the head. */
  readonly upTo?: number;
  /** How many places of the log one page may pass over, 1 to 10_000, default 1_000. */
  readonly limit?: number;
  /** Default: every event. */
  readonly filter?: Filter;
  /**
   * Only events of `keep: "latest"`, by way of an index: what is behind them costs nothing. `limit` then counts events,
   * and `filter` is needed.
   */
  readonly latestOnly?: boolean;
}

export interface Page {
  /** In the order of their offsets. */
  readonly events: readonly StoredEvent[];
  /** Everything up to and including this offset was looked at: read on `after` it. Never below the request's `after`. */
  readonly through: number;
  /**
   * Retention has taken events up to and including this offset; 0 where it has taken none. Where it is above the request's
   * `after`, events between the two may be missing from the page.
   */
  readonly takenThrough: number;
}

export interface TextRequest extends ReadRequest {
  /** Texts are joined with commas into runs of at most so many UTF-16 units. Default 0: each alone. */
  readonly runLength?: number;
}

export interface TextPage extends Omit<Page, "events"> {
  /** In the order of their offsets: see `eventTexts` and `runsOf`. */
  readonly texts: readonly string[];
}

export interface CausedRequest {
  readonly contract: string;
  readonly key: string;
  /** The name of those whose data is wanted; that of all could be 128 MB. */
  readonly dataOf: string;
  /** Events with a higher offset; 0 reads from the start. */
  readonly after: number;
  /** How many events at most, 1 to 1_000, default 1_000. Fewer than that: there are no more. */
  readonly limit?: number;
}

/** How long events are kept. Nothing set: for ever. The newest of `latest` events are kept whatever is set. */
export interface Retention {
  /** Events that were taken in longer ago than this may go. Milliseconds, above 0. */
  readonly ageMs?: number;
  /** While the log holds more than this, its oldest events go. Bytes, above 0; what is free inside the file does not count. */
  readonly bytes?: number;
}

/**
 * A durable, ordered log of events. Each sentence here is a test of the conformance suite that every engine runs.
 *
 * - Offsets start at 1, grow by one with each event appended, and are never given twice, also after a restart.
 * - `append` resolves when its events are on disk: a crash of the process or the machine afterwards loses none of them.
 * - A batch is appended whole and in its order, or, where `append` rejects, not at all.
 * - Batches are appended in the order in which `append` was called, without waiting for one another.
 * - An id that is kept is not appended again: the same event answers with the first offset and `duplicate`, also within
 *   one batch; another event under that id answers `ID_REUSED`, and the rest of its batch is appended.
 * - What came of the same event, under the same id and name, is the same event whatever its data: another attempt's.
 * - The same id in another contract, or of another source, is another event.
 * - Under one `idScope`, the same id is the same event whatever its source; under another one it is another event.
 * - Of `latest` events, only the newest per contract, event and key is read; its offset is that of the newest.
 * - `head` is the offset of the newest event appended, 0 in an empty log, and does not move back.
 * - Records are changed in the same commit as the batch that they come with: after a crash both are there, or neither.
 * - A whole is appended in its place in the batch, with its records or not at all, and what becomes of it touches nothing else.
 * - A record has the value of its last change; a null removes it. Records are not touched by retention.
 * - `offsetBefore` a time is the offset of the newest event that was taken in before it, 0 where there is none.
 * - `caused` finds the events of a key that came of another event, in order, without passing over the others.
 * - Of these, those of the name that is asked for have their data, and the others an empty text.
 * - It returns the first of them behind `after`, `limit` at most: read on after the last one, they all come, each once.
 * - `firstOffsets` finds the event with the lowest id of those that begin with a text, without passing over the others.
 * - Of `latest` events alone, a read returns what a read of everything would, without passing over the others.
 * - Retention takes the oldest events first, by age and by size, never the newest of `latest` events, and each page says
 *   how far it came: no event is missing from a page without `takenThrough` telling so.
 * - Retention works in steps between appends, and holds none of them up for longer than one step.
 * - An id is free again when retention has taken its event.
 * - A log that has no room left refuses an append with `LOG_FULL`, keeps all that it has acked, and appends again when
 *   there is room.
 * - `epoch` is the same for as long as the log exists, and different for every new log.
 * - A read after N returns the events with higher offsets, in order, each once, that fit the filter; `through` moves past
 *   those that do not fit.
 * - `readTexts` finds what `read` finds, as the texts that `eventTexts` makes of it, in the runs that `runsOf` makes of those.
 * - A read sees every event whose `append` has resolved.
 * - Reading and appending at once disturb neither.
 * - Neither blocks the event loop of the caller while the disk works.
 * - Opening a log that is open elsewhere fails with `LOG_LOCKED`, and the one who holds it is not disturbed.
 * - Opening a log that a newer version wrote fails with `LOG_NEWER` and changes nothing.
 * - After `close`, which waits for appends under way, all of them fail with `CLOSED`.
 */
export interface EventLog {
  readonly epoch: string;
  readonly head: number;
  /** Any of the three may be empty. The answers come in the order of the batch. */
  append(
    batch: readonly NewEvent[],
    records?: readonly RecordChange[],
    wholes?: readonly Whole[],
  ): Promise<readonly Appended[]>;
  read(request: ReadRequest): Promise<Page>;
  /** What satellites hear, made where the log is read, so that catching up costs the caller's thread little. */
  readTexts(request: TextRequest): Promise<TextPage>;
  /** In the order of their offsets. */
  caused(request: CausedRequest): Promise<readonly StoredEvent[]>;
  /**
   * By each of these beginnings of ids, UTF-8 that is compared byte by byte: the offset of the event of the contract that has the
   * lowest of them. What no id begins with is not in it.
   */
  firstOffsets(contract: string, beginnings: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** All records whose name begins so. */
  records(prefix: string): Promise<ReadonlyMap<string, string>>;
  /**
   * Takes times to grow with offsets, as they do but where the clock was set back: events from around there may lie on the
   * wrong side.
   */
  offsetBefore(timeMs: number): Promise<number>;
  close(): Promise<void>;
}
