import { Worker } from "node:worker_threads";
import { OrreryError } from "@orrery/contracts";
import {
  decodeAppended,
  decodeRecords,
  decodeRows,
  decodeTexts,
  encodeRecords,
  encodeRows,
  eventOf,
  rowOf,
} from "./codec.ts";
import type {
  Appended,
  CausedRequest,
  EventLog,
  NewEvent,
  Page,
  ReadRequest,
  RecordChange,
  Retention,
  StoredEvent,
  TextPage,
  TextRequest,
  Whole,
} from "./event-log.ts";
import type { CausedRead, FirstRead, OffsetRead, PageRead, Question, RecordsRead } from "./sqlite-reader.ts";
import type { Batch, BatchWritten, Opened, WriterOptions } from "./sqlite-writer.ts";
import { Thread } from "./thread.ts";

const defaultLimit = 1_000;
const mostLimit = 10_000;
/** Of one key, at once. */
const mostCaused = 1_000;

export interface SqliteLogOptions {
  readonly file: string;
  /** Default: everything is kept for ever. */
  readonly retention?: Retention;
  /**
   * What the file may grow to, above 0 and above `retention.bytes`, default without bound. What was not yet moved into it
   * from `-wal`, about 4 MB, comes on top. A file that is larger already does not grow.
   */
  readonly maxBytes?: number;
}

/**
 * The embedded engine: SQLite on two threads of its own, one that writes and one that reads. `file` and its directory
 * are created where they are not there; beside the file are, while it is open, `-wal` and `-shm`, and always `.lock`.
 * No network file systems: they do not keep locks and do not share memory. The file does not shrink: what retention
 * frees is used again. A retention that fails is a process warning, once, and is tried again every second.
 *
 * Fails with `LOG_LOCKED`, `LOG_NEWER`, with `CONFIG_INVALID` where an option is out of its range or the path or the
 * file cannot be a log, with `LOG_FULL` where the disk has no room to open it, and with `LOG_FAILED` where it does not
 * answer. What it opens fails with `CLOSED`, `LOG_FAILED` and, for `append`, `LOG_FULL`.
 */
export async function openSqliteLog({ file, retention, maxBytes }: SqliteLogOptions): Promise<EventLog> {
  const faults = faultsOf(retention, maxBytes);
  if (faults.length > 0) throw new OrreryError("CONFIG_INVALID", { detail: faults.join(" ") });
  const entry = await threadEntry();
  const writer = startThread(entry, "writer");
  const reader = startThread(entry, "reader");
  try {
    const opened = await writer.ask<Opened>({ file, retention, maxBytes } satisfies WriterOptions);
    await reader.ask({ file });
    return new SqliteLog(writer, reader, opened);
  } catch (error) {
    await Promise.all([reader.end(), writer.end()]);
    throw error;
  }
}

function faultsOf({ ageMs, bytes }: Retention = {}, maxBytes?: number): string[] {
  const options = { "retention.ageMs": ageMs, "retention.bytes": bytes, maxBytes };
  const faults = Object.entries(options)
    .filter(([, value]) => value !== undefined && !(value > 0))
    .map(([name, value]) => `${name} is above 0, not ${value}.`);
  // The log would be full before retention begins.
  if (bytes !== undefined && maxBytes !== undefined && bytes >= maxBytes) {
    faults.push(`retention.bytes is below maxBytes, ${maxBytes}, not ${bytes}.`);
  }
  return faults;
}

class SqliteLog implements EventLog {
  readonly epoch: string;
  #head: number;
  /** As far as a page or the start has told. */
  #takenThrough: number;
  #closed: Promise<void> | undefined;
  readonly #writer: Thread;
  readonly #reader: Thread;

  constructor(writer: Thread, reader: Thread, { epoch, head, takenThrough }: Opened) {
    this.epoch = epoch;
    this.#head = head;
    this.#takenThrough = takenThrough;
    this.#writer = writer;
    this.#reader = reader;
  }

  get head(): number {
    return this.#head;
  }

  async append(
    batch: readonly NewEvent[],
    changes: readonly RecordChange[] = [],
    wholes: readonly Whole[] = [],
  ): Promise<readonly Appended[]> {
    this.#refuseIfClosed();
    const rows = encodeRows(batch.map(rowOf));
    const all = wholes.length === 0 ? changes : [...changes, ...wholes.flatMap((whole) => whole.records)];
    const records = all.length === 0 ? undefined : encodeRecords(all.map(({ name, value }) => [name, value]));
    const spans = wholes.map((whole) => ({ ...whole, records: whole.records.length }));
    const { buffer, head } = await this.#writer.ask<BatchWritten>(
      { rows, records, wholes: spans } satisfies Batch,
      records === undefined ? [rows] : [rows, records],
    );
    this.#head = head;
    return decodeAppended(buffer);
  }

  async read(request: ReadRequest): Promise<Page> {
    const { buffers, ...page } = await this.#page(request);
    return { ...page, events: Array.from(buffers, decodeRows).flat().map(eventOf) };
  }

  async readTexts({ runLength = 0, ...request }: TextRequest): Promise<TextPage> {
    const { buffers, ...page } = await this.#page(request, runLength);
    return { ...page, texts: Array.from(buffers, decodeTexts).flat() };
  }

  async #page(
    { after, upTo, limit = defaultLimit, filter, latestOnly = false }: ReadRequest,
    runLength?: number,
  ): Promise<PageRead> {
    this.#refuseIfClosed();
    if (!(limit >= 1 && limit <= mostLimit)) throw new RangeError(`limit: 1 to ${mostLimit}, not ${limit}`);
    if (latestOnly && filter === undefined) throw new TypeError("latestOnly: not without a filter");
    const end = Math.min(upTo ?? this.#head, this.#head);
    const through = latestOnly ? end : Math.min(after + limit, end);
    if (through <= after) return { buffers: [], through: after, takenThrough: this.#takenThrough };
    const latest = latestOnly ? limit : undefined;
    const page = await this.#ask<PageRead>({ kind: "page", after, through, filter, latest, runLength });
    this.#takenThrough = Math.max(this.#takenThrough, page.takenThrough);
    return page;
  }

  async caused({ limit = mostCaused, ...request }: CausedRequest): Promise<readonly StoredEvent[]> {
    this.#refuseIfClosed();
    if (!(limit >= 1 && limit <= mostCaused)) throw new RangeError(`limit: 1 to ${mostCaused}, not ${limit}`);
    const { buffer } = await this.#ask<CausedRead>({ kind: "caused", ...request, limit });
    return decodeRows(buffer).map(eventOf);
  }

  async firstOffsets(contract: string, beginnings: readonly string[]): Promise<ReadonlyMap<string, number>> {
    this.#refuseIfClosed();
    if (beginnings.length === 0) return new Map();
    const { offsets } = await this.#ask<FirstRead>({ kind: "first", contract, beginnings });
    const found = beginnings.map((beginning, place) => [beginning, offsets[place]] as const);
    return new Map(found.filter((one): one is readonly [string, number] => one[1] !== undefined));
  }

  async records(prefix: string): Promise<ReadonlyMap<string, string>> {
    this.#refuseIfClosed();
    const { buffer } = await this.#ask<RecordsRead>({ kind: "records", prefix });
    return new Map(decodeRecords(buffer) as [string, string][]);
  }

  async offsetBefore(timeMs: number): Promise<number> {
    this.#refuseIfClosed();
    const { offset } = await this.#ask<OffsetRead>({ kind: "offset", beforeMs: timeMs });
    return offset;
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    // The last connection tidies the file up, and only the writer may write to it.
    await this.#reader.end();
    await this.#writer.end();
  }

  #ask<Read extends object>(question: Question): Promise<Read> {
    return this.#reader.ask<Read>(question);
  }

  #refuseIfClosed(): void {
    if (this.#closed !== undefined) throw new OrreryError("CLOSED", { detail: "The log was closed." });
  }
}

const startThread = (entry: URL, part: "writer" | "reader"): Thread =>
  new Thread(new Worker(entry, { workerData: part }));

async function threadEntry(): Promise<URL> {
  const isSource = import.meta.url.endsWith(".ts");
  if (!isSource) return new URL("./sqlite-thread.js", import.meta.url);
  // Named like this, no bundler takes it along.
  const { href } = new URL("./source-thread.mjs", import.meta.url);
  const source = (await import(href)) as { readonly entryFromSource: () => Promise<URL> };
  return source.entryFromSource();
}
