import { encodeRows, type Row } from "./codec.ts";
import { type Filter, isWanted } from "./filter.ts";
import { openForReading } from "./sqlite-file.ts";
import type { Answered } from "./thread.ts";

/** Both ends are offsets: the first one is left out, the last one is looked at. */
export interface PageRequest {
  readonly after: number;
  readonly through: number;
  readonly filter: Filter | undefined;
}

/** `buffers`: see `encodeRows`. `through` is below that of the request where the page got large. */
export interface PageRead {
  readonly buffers: readonly ArrayBuffer[];
  readonly through: number;
}

/** Size at which a page ends, so that one of large events does not take the memory of 10_000 of them. */
const pageBytes = 4_000_000;

/** Places in one buffer. Texts of 128 KB and more, which is where V8 calls them large, take 1.5 times as long. */
const stepPlaces = 250;

/** The side of the log that lives on the reader thread, so that catching up does not delay a commit. */
export function openReader(file: string) {
  const { db, close } = openForReading(file);
  // NOT INDEXED: without it the planner takes the index of ids for `contract = ?`, and sorts.
  const all = db.prepare("SELECT * FROM events NOT INDEXED WHERE offset > ? AND offset <= ? ORDER BY offset");
  const named = db.prepare(
    `SELECT * FROM events NOT INDEXED
     WHERE offset > ? AND offset <= ? AND contract = ? AND event IN (SELECT value FROM json_each(?))
     ORDER BY offset`,
  );
  all.setReturnArrays(true);
  named.setReturnArrays(true);

  const select = (after: number, through: number, filter: Filter | undefined): Row[] => {
    if (filter === undefined) return all.all(after, through);
    const names = JSON.stringify([...filter.events.keys()]);
    const rows: Row[] = named.all(after, through, filter.contract, names);
    return rows.filter(([, contract, , event, , rooms]) =>
      isWanted(filter, { contract, event, rooms: JSON.parse(rooms) }),
    );
  };

  return {
    opened: {},

    answer({ after, through, filter }: PageRequest): Answered<PageRead> {
      const buffers: ArrayBuffer[] = [];
      let bytes = 0;
      let at = after;
      while (at < through && bytes < pageBytes) {
        const next = Math.min(at + stepPlaces, through);
        const buffer = encodeRows(select(at, next, filter));
        buffers.push(buffer);
        bytes += buffer.byteLength;
        at = next;
      }
      return { value: { buffers, through: at }, transferred: buffers };
    },

    close,
  };
}
