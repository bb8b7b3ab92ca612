import type { Filter } from "./filter.ts";

/** An event as it goes into the log. */
export interface NewEvent {
  readonly contract: string;
  /** 1 to 128 characters, unique within the contract for as long as the event is kept. */
  readonly id: string;
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
  /** `latest`: only the newest event per contract, name and key is kept. */
  readonly keep: "log" | "latest";
}

export interface StoredEvent extends NewEvent {
  readonly offset: number;
}

/**
 * `duplicate`: an event with this id, name and data was there before, and `offset` is its place. `ID_REUSED`: the id is
 * that of an event with another name or other data; nothing was appended for it.
 */
export type Appended =
  | { readonly offset: number; readonly duplicate: boolean }
  | { readonly error: "ID_REUSED" };

export interface ReadRequest {
  /** Events with a higher offset; 0 reads from the start. */
  readonly after: number;
  /** Events up to and including this offset. Default: the head. */
  readonly upTo?: number;
  /** How many places of the log one page may pass over, 1 to 10_000, default 1_000. */
  readonly limit?: number;
  /** Default: every event. */
  readonly filter?: Filter;
}

export interface Page {
  /** In the order of their offsets. */
  readonly events: readonly StoredEvent[];
  /** Everything up to and including this offset was looked at: read on `after` it. Never below the request's `after`. */
  readonly through: number;
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
 * - The same id in another contract is another event.
 * - Of `latest` events, only the newest per contract, event and key is read; its offset is that of the newest.
 * - `head` is the offset of the newest event appended, 0 in an empty log, and does not move back.
 * - `epoch` is the same for as long as the log exists, and different for every new log.
 * - A read after N returns the events with higher offsets, in order, each once, that fit the filter; `through` moves past
 *   those that do not fit.
 * - A read sees every event whose `append` has resolved.
 * - Reading and appending at once disturb neither.
 * - Neither blocks the event loop of the caller while the disk works.
 * - Opening a log that is open elsewhere fails with `LOG_LOCKED`, and the one who holds it is not disturbed.
 * - Opening a log that a newer version wrote fails with `LOG_NEWER` and changes nothing.
 * - After `close`, which waits for appends under way, both fail with `CLOSED`.
 */
export interface EventLog {
  readonly epoch: string;
  readonly head: number;
  append(batch: readonly NewEvent[]): Promise<readonly Appended[]>;
  read(request: ReadRequest): Promise<Page>;
  close(): Promise<void>;
}
