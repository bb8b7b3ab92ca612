import { decodeRows, encodeAppended, type Row } from "./codec.ts";
import type { Appended } from "./event-log.ts";
import { openForWriting } from "./sqlite-file.ts";
import type { Answered } from "./thread.ts";

/** What the writer says once the file is open. */
export interface Opened {
  readonly epoch: string;
  readonly head: number;
}

/** `buffer`: see `encodeAppended`. `head`: the newest offset after the batch. */
export interface BatchWritten {
  readonly buffer: ArrayBuffer;
  readonly head: number;
}

/** The side of the log that lives on the writer thread. One batch, one transaction, one fsync. */
export function openWriter(file: string) {
  const { db, close } = openForWriting(file);
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
  const opened: Opened = db
    .prepare(
      `SELECT (SELECT value FROM settings WHERE name = 'epoch') AS epoch,
         -- Retention may take the newest event: it then leaves its offset in the settings.
         max((SELECT coalesce(max(offset), 0) FROM events), (SELECT value FROM settings WHERE name = 'head')) AS head`,
    )
    .get();
  let head = opened.head;

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

    answer(batch: ArrayBuffer): Answered<BatchWritten> {
      const rows = decodeRows(batch);
      let newHead = head;
      begin.run();
      try {
        const appended = rows.map((row) => {
          const one = append(newHead + 1, row);
          if ("offset" in one && !one.duplicate) newHead = one.offset;
          return one;
        });
        commit.run();
        head = newHead;
        const buffer = encodeAppended(appended);
        return { value: { buffer, head }, transferred: [buffer] };
      } finally {
        if (db.isTransaction) db.exec("ROLLBACK");
      }
    },

    close,
  };
}
