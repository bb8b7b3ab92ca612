import { Worker } from "node:worker_threads";
import { OrreryError } from "@orrery/contracts";
import { decodeAppended, decodeRows, encodeRows, eventOf, rowOf } from "./codec.ts";
import type { Appended, EventLog, NewEvent, Page, ReadRequest } from "./event-log.ts";
import type { PageRead, PageRequest } from "./sqlite-reader.ts";
import type { BatchWritten, Opened } from "./sqlite-writer.ts";
import { Thread } from "./thread.ts";

const defaultLimit = 1_000;
const mostLimit = 10_000;

/**
 * The embedded engine: SQLite on two threads of its own, one that writes and one that reads. `file` and its directory
 * are created where they are not there; beside the file are, while it is open, `-wal` and `-shm`, and always `.lock`.
 * No network file systems: they do not keep locks and do not share memory.
 *
 * Fails with `LOG_LOCKED`, `LOG_NEWER`, with `CONFIG_INVALID` where the path or the file cannot be a log, and with
 * `LOG_FAILED` where the disk does not answer. `append` and `read` fail with `CLOSED` and `LOG_FAILED`.
 */
export async function openSqliteLog({ file }: { readonly file: string }): Promise<EventLog> {
  const writer = startThread("writer");
  const reader = startThread("reader");
  try {
    const opened = await writer.ask<Opened>(file);
    await reader.ask(file);
    return new SqliteLog(writer, reader, opened);
  } catch (error) {
    await Promise.all([reader.end(), writer.end()]);
    throw error;
  }
}

class SqliteLog implements EventLog {
  readonly epoch: string;
  #head: number;
  #closed: Promise<void> | undefined;
  readonly #writer: Thread;
  readonly #reader: Thread;

  constructor(writer: Thread, reader: Thread, { epoch, head }: Opened) {
    this.epoch = epoch;
    this.#head = head;
    this.#writer = writer;
    this.#reader = reader;
  }

  get head(): number {
    return this.#head;
  }

  async append(batch: readonly NewEvent[]): Promise<readonly Appended[]> {
    this.#refuseIfClosed();
    const rows = encodeRows(batch.map(rowOf));
    const { buffer, head } = await this.#writer.ask<BatchWritten>(rows, [rows]);
    this.#head = head;
    return decodeAppended(buffer);
  }

  async read({ after, upTo, limit = defaultLimit, filter }: ReadRequest): Promise<Page> {
    this.#refuseIfClosed();
    if (!(limit >= 1 && limit <= mostLimit)) throw new RangeError(`limit: 1 to ${mostLimit}, not ${limit}`);
    const through = Math.min(after + limit, upTo ?? this.#head, this.#head);
    if (through <= after) return { events: [], through: after };
    const page = await this.#reader.ask<PageRead>({ after, through, filter } satisfies PageRequest);
    const events = Array.from(page.buffers, decodeRows).flat().map(eventOf);
    return { events, through: page.through };
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

  #refuseIfClosed(): void {
    if (this.#closed !== undefined) throw new OrreryError("CLOSED", { detail: "The log was closed." });
  }
}

function startThread(part: "writer" | "reader"): Thread {
  const isSource = import.meta.url.endsWith(".ts");
  const entry = new URL(isSource ? "./source-thread.mjs" : "./sqlite-thread.js", import.meta.url);
  return new Thread(new Worker(entry, { workerData: part }));
}
