import { decodeRecords, decodeRows, encodeAppended, type Row } from "./codec.ts";
import type { Appended, Retention } from "./event-log.ts";
import { isFull, openForWriting, Refusal } from "./sqlite-file.ts";
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

/** See `encodeRows` and `encodeRecords`. */
export interface Batch {
  readonly rows: ArrayBuffer;
  readonly records: ArrayBuffer | undefined;
}

/** `buffer`: see `encodeAppended`. `head`: the newest offset after the batch. */
export interface BatchWritten {
  readonly buffer: ArrayBuffer;
  readonly head: number;
}

/** The side of the log that lives on the writer thread. One batch, its records with it: one transaction, one fsync. */
export function openWriter({ file, retention, maxBytes }: WriterOptions) {
  const { db, close } = openForWriting(file, maxBytes);
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const insert = db.prepare(
    "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (contract, id) DO NOTHING",
  );
  const find = db.prepare("SELECT offset, event, data FROM events WHERE contract = ? AND id = ?");
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
    const [, contract, id, event, key, rooms, source, timeMs, data, latest] = row;
    const { changes } = insert.run(offset, contract, id, event, key, rooms, source, timeMs, data, latest);
    if (changes === 0) {
      const first = find.get(contract, id);
      const isSame = first.event === event && first.data === data;
      return isSame ? { offset: first.offset, duplicate: true } : { error: "ID_REUSED" };
    }
    if (latest === 1) forget.run(contract, event, key, offset);
    return { offset, duplicate: false };
  };

  return {
    opened,

    answer({ rows, records }: Batch): Answered<BatchWritten> {
      const batch = decodeRows(rows);
      let newHead = head;
      begin.run();
      try {
        const appended = batch.map((row) => {
          const one = append(newHead + 1, row);
          if ("offset" in one && !one.duplicate) newHead = one.offset;
          return one;
        });
        for (const [name, value] of records === undefined ? [] : decodeRecords(records)) {
          if (value === null) removeRecord.run(name);
          else setRecord.run(name, value);
        }
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
