import { decodeRecords, decodeRows, encodeAppended, type RecordRow, type Row } from "./codec.ts";
import type { Appended, Retention } from "./event-log.ts";
import { idColumns, isFull, openForWriting, Refusal } from "./sqlite-file.ts";
import { openRetention } from "./sqlite-retention.ts";
import type { Answered } from "./thread.ts";

export interface WriterOptions {
  readonly file: string;
  readonly retention: Retention | undefined;
  readonly maxBytes: number | undefined;
}

/** What the writer says once the file is open. */
export interface Opened {
  readonly epoch: string;
  readonly head: number;
  readonly takenThrough: number;
}

/** See `encodeRows` and `encodeRecords`. The last records are those of the wholes, so many of each. */
export interface Batch {
  readonly rows: ArrayBuffer;
  readonly records: ArrayBuffer | undefined;
  readonly wholes: readonly { readonly first: number; readonly count: number; readonly records: number }[];
}

/** `buffer`: see `encodeAppended`. `head`: the newest offset after the batch. */
export interface BatchWritten {
  readonly buffer: ArrayBuffer;
  readonly head: number;
}

/** What became of some events of a batch, and the newest offset after them. */
interface Part {
  readonly appended: readonly Appended[];
  readonly head: number;
}

/** The side of the log that lives on the writer thread. One batch, its records with it: one transaction, one fsync. */
export function openWriter({ file, retention, maxBytes }: WriterOptions) {
  const { db, close } = openForWriting(file, maxBytes);
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const savepoint = db.prepare("SAVEPOINT whole");
  const rollBack = db.prepare("ROLLBACK TO whole");
  const release = db.prepare("RELEASE whole");
  const insert = db.prepare(
    `INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (${idColumns}) DO NOTHING`,
  );
  const find = db.prepare(`SELECT offset, event, data, cause FROM events WHERE (${idColumns}) = (?, ?, ?)`);
  const forget = db.prepare(
    `DELETE FROM events INDEXED BY latest
     WHERE latest = 1 AND contract = ? AND event = ? AND key IS ? AND offset < ?`,
  );
  const setRecord = db.prepare("INSERT OR REPLACE INTO records VALUES (?, ?)");
  const removeRecord = db.prepare("DELETE FROM records WHERE name = ?");
  const opened: Opened = db
    .prepare(
      `SELECT (SELECT value FROM settings WHERE name = 'epoch') AS epoch,
         -- Retention may take the newest event: it then leaves its offset in the settings.
         max((SELECT coalesce(max(offset), 0) FROM events), (SELECT value FROM settings WHERE name = 'head')) AS head,
         (SELECT value FROM settings WHERE name = 'takenThrough') AS takenThrough`,
    )
    .get();
  const taking = retention && openRetention(db, retention);
  let head = opened.head;
  let brought = { events: 0, bytes: 0 };

  const append = (offset: number, row: Row): Appended => {
    row[0] = offset;
    const { changes } = insert.run(...row);
    const [, contract, id, event, key, , source, , data, latest, cause, idScope] = row;
    if (changes === 0) {
      const first = find.get(contract, id, idScope ?? source);
      const isOfSameCause = cause !== null && first.cause === cause;
      const isSame = first.event === event && (first.data === data || isOfSameCause);
      return isSame ? { offset: first.offset, duplicate: true } : { error: "ID_REUSED" };
    }
    if (latest === 1) forget.run(contract, event, key, offset);
    return { offset, duplicate: false };
  };

  const setRecords = (rows: readonly RecordRow[]): void => {
    for (const [name, value] of rows) {
      if (value === null) removeRecord.run(name);
      else setRecord.run(name, value);
    }
  };

  /** Appends behind `after`. */
  const appendAll = (rows: readonly Row[], after: number): Part => {
    let head = after;
    const appended = rows.map((row) => {
      const one = append(head + 1, row);
      if ("offset" in one && !one.duplicate) head = one.offset;
      return one;
    });
    return { appended, head };
  };

  const appendWhole = (rows: readonly Row[], records: readonly RecordRow[], after: number): Part => {
    const isDivisible = rows.length > 1; // of one alone nothing is left to roll back; the statements take 3 µs
    if (isDivisible) savepoint.run();
    const { appended, head } = appendAll(rows, after);
    const isRefused = appended.some((one) => "error" in one);
    if (!isRefused) setRecords(records);
    else if (isDivisible) rollBack.run();
    if (isDivisible) release.run();
    if (!isRefused) return { appended, head };
    const withheld = appended.map((one) => ("error" in one ? one : ({ error: "WITHHELD" } as const)));
    return { appended: withheld, head: after };
  };

  return {
    opened,

    answer({ rows, records, wholes }: Batch): Answered<BatchWritten> {
      const batch = decodeRows(rows);
      const changes = records === undefined ? [] : decodeRecords(records);
      const changesOfWholes = changes.splice(
        changes.length - wholes.reduce((sum, whole) => sum + whole.records, 0),
      );
      begin.run();
      try {
        setRecords(changes);
        const appended: Appended[] = [];
        let newHead = head;
        const add = (part: Part) => {
          appended.push(...part.appended);
          newHead = part.head;
        };
        for (const { first, count, records } of wholes) {
          add(appendAll(batch.slice(appended.length, first), newHead));
          const whole = batch.slice(first, first + count);
          add(appendWhole(whole, changesOfWholes.splice(0, records), newHead));
        }
        add(appendAll(batch.slice(appended.length), newHead));
        commit.run();
        head = newHead;
        brought = { events: batch.length, bytes: rows.byteLength };
        const buffer = encodeAppended(appended);
        return { value: { buffer, head }, transferred: [buffer] };
      } catch (error) {
        throw isFull(error) ? new Refusal("LOG_FULL", `${file}: ${error.message}.`) : error;
      } finally {
        if (db.isTransaction) db.exec("ROLLBACK");
      }
    },

    /** A step of the retention, where one is due. Whether another one is. */
    ...(taking && { work: () => taking.step(head, Date.now(), brought) }),

    close,
  };
}
