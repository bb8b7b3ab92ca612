import { encodeRecords, encodeRows, encodeTexts, type RecordRow, type Row } from "./codec.ts";
import type { CausedRequest } from "./event-log.ts";
import { eventTexts, runsOf } from "./event-text.ts";
import { type Filter, isWanted } from "./filter.ts";
import { openForReading } from "./sqlite-file.ts";
import type { Answered } from "./thread.ts";

export type Question = PageRequest | CausedRows | FirstRequest | RecordsRequest | OffsetRequest;

/** Both ends are offsets: the first one is left out, the last one is looked at. */
export interface PageRequest {
  readonly kind: "page";
  readonly after: number;
  readonly through: number;
  readonly filter: Filter | undefined;
  /** Set: `latest` events alone, this many at most, counted before the filter's rooms. */
  readonly latest: number | undefined;
  /** Set: texts in runs of at most so many UTF-16 units, instead of rows. */
  readonly runLength: number | undefined;
}

/** `buffers`: see `encodeRows` and `encodeTexts`. `through` is below that of the request where the page got large. */
export interface PageRead {
  readonly buffers: readonly ArrayBuffer[];
  readonly through: number;
  readonly takenThrough: number;
}

export interface CausedRows extends Required<CausedRequest> {
  readonly kind: "caused";
}

/** `buffer`: see `encodeRows`. */
export interface CausedRead {
  readonly buffer: ArrayBuffer;
}

export interface FirstRequest {
  readonly kind: "first";
  readonly contract: string;
  readonly beginnings: readonly string[];
}

/** In the order of the beginnings; undefined where there is none. */
export interface FirstRead {
  readonly offsets: readonly (number | undefined)[];
}

export interface RecordsRequest {
  readonly kind: "records";
  readonly prefix: string;
}

/** `buffer`: see `encodeRecords`. */
export interface RecordsRead {
  readonly buffer: ArrayBuffer;
}

export interface OffsetRequest {
  readonly kind: "offset";
  readonly beforeMs: number;
}

export interface OffsetRead {
  readonly offset: number;
}

/** Some rows of a page, in order, and the last offset that they stand for. */
interface Piece {
  readonly rows: readonly Row[];
  readonly through: number;
}

/** Size at which a page ends, so that one of large events does not take the memory of 10_000 of them. */
const pageBytes = 4_000_000;

/** Places in one buffer. Texts of 128 KB and more, which is where V8 calls them large, take 1.5 times as long. */
const pieceEvents = 250;

/** The side of the log that lives on the reader thread, so that catching up does not delay a commit. */
export function openReader({ file }: { readonly file: string }) {
  const { db, close } = openForReading(file);
  const begin = db.prepare("BEGIN");
  const commit = db.prepare("COMMIT");
  // NOT INDEXED: without it the planner takes the index of ids for `contract = ?`, and sorts.
  const all = db.prepare("SELECT * FROM events NOT INDEXED WHERE offset > ? AND offset <= ? ORDER BY offset");
  const named = db.prepare(
    `SELECT * FROM events NOT INDEXED
     WHERE offset > ? AND offset <= ? AND contract = ? AND event IN (SELECT value FROM json_each(?))
     ORDER BY offset`,
  );
  // The index has all that this needs, but by key: 15 ms for each page where there are 100_000 keys, against 3 with an
  // index by offset, which every `latest` event appended would pay for.
  const latest = db.prepare(
    `SELECT offset FROM events INDEXED BY latest
     WHERE latest = 1 AND offset > ? AND offset <= ? AND contract = ? AND event IN (SELECT value FROM json_each(?))
     ORDER BY offset LIMIT ?`,
  );
  const listed = db.prepare(
    "SELECT * FROM events WHERE offset IN (SELECT value FROM json_each(?)) ORDER BY offset",
  );
  // What is left out is not read either, where it is so large that it lies on pages of its own.
  const caused = db.prepare(
    `SELECT offset, contract, id, event, key, rooms, source, time, iif(event = ?, data, ''), latest, cause, id_scope
     FROM events INDEXED BY caused
     WHERE cause IS NOT NULL AND contract = ? AND key = ? AND offset > ? ORDER BY offset LIMIT ?`,
  );
  // The byte FF is in no UTF-8 text, and so behind every id and every name that begins with the prefix.
  const first = db.prepare(
    `SELECT offset FROM events INDEXED BY ids
     WHERE contract = ?1 AND id >= ?2 AND id < ?2 || CAST(x'FF' AS TEXT) ORDER BY id LIMIT 1`,
  );
  const records = db.prepare(
    "SELECT name, value FROM records WHERE name >= ?1 AND name < ?1 || CAST(x'FF' AS TEXT) ORDER BY name",
  );
  const from = db.prepare("SELECT offset, time FROM events WHERE offset >= ? ORDER BY offset LIMIT 1");
  const newest = db.prepare("SELECT coalesce(max(offset), 0) AS offset FROM events");
  const setting = db.prepare("SELECT value FROM settings WHERE name = ?");
  for (const rows of [all, named, latest, listed, caused, records]) rows.setReturnArrays(true);

  /** What `ask` asks the file, it asks of one state of the log. */
  const inOneState = <Value>(ask: () => Value): Value => {
    begin.run();
    try {
      return ask();
    } finally {
      commit.run();
    }
  };

  /** Of rows of the filter's contract and names. */
  const fitting = (rows: readonly Row[], filter: Filter): readonly Row[] =>
    [...filter.events.values()].every((rooms) => rooms === "all")
      ? rows
      : rows.filter(([, contract, , event, , rooms]) =>
          isWanted(filter, { contract, event, rooms: JSON.parse(rooms) }),
        );

  const toText = eventTexts();
  const textOf = ([offset, , id, event, key, , source, timeMs, data, , cause]: Row): string =>
    toText({ id, event, key, source, timeMs, data, cause }, offset);

  const namesIn = (filter: Filter): string => JSON.stringify([...filter.events.keys()]);

  function* everything({ after, through, filter }: PageRequest): Iterable<Piece> {
    for (let at = after; at < through; ) {
      const next = Math.min(at + pieceEvents, through);
      const rows: readonly Row[] =
        filter === undefined
          ? all.all(at, next)
          : fitting(named.all(at, next, filter.contract, namesIn(filter)), filter);
      yield { rows, through: next };
      at = next;
    }
  }

  function* latestAlone(request: PageRequest, filter: Filter, limit: number): Iterable<Piece> {
    const { after, through } = request;
    const offsets: number[] = latest.all(after, through, filter.contract, namesIn(filter), limit).flat();
    for (let at = 0; at < offsets.length; at += pieceEvents) {
      const piece = offsets.slice(at, at + pieceEvents);
      yield { rows: fitting(listed.all(JSON.stringify(piece)), filter), through: piece.at(-1) ?? after };
    }
    if (offsets.length < limit) yield { rows: [], through };
  }

  const page = (request: PageRequest): Answered<PageRead> => {
    const { filter, latest, runLength } = request;
    const encode = (rows: readonly Row[]) =>
      runLength === undefined ? encodeRows(rows) : encodeTexts(runsOf(rows.map(textOf), runLength));
    const pieces =
      filter === undefined || latest === undefined
        ? everything(request)
        : latestAlone(request, filter, latest);
    const buffers: ArrayBuffer[] = [];
    let bytes = 0;
    let through = request.after;
    for (const piece of pieces) {
      const buffer = encode(piece.rows);
      buffers.push(buffer);
      bytes += buffer.byteLength;
      through = piece.through;
      if (bytes >= pageBytes) break;
    }
    const takenThrough: number = setting.get("takenThrough").value;
    return { value: { buffers, through, takenThrough }, transferred: buffers };
  };

  const causedOf = ({ contract, key, dataOf, after, limit }: CausedRows): Answered<CausedRead> => {
    const buffer = encodeRows(caused.all(dataOf, contract, key, after, limit));
    return { value: { buffer }, transferred: [buffer] };
  };

  const firstOf = ({ contract, beginnings }: FirstRequest): Answered<FirstRead> => {
    const offsets = beginnings.map((beginning) => first.get(contract, beginning)?.offset);
    return { value: { offsets }, transferred: [] };
  };

  const recordsOf = ({ prefix }: RecordsRequest): Answered<RecordsRead> => {
    const rows: RecordRow[] = records.all(prefix);
    const buffer = encodeRecords(rows);
    return { value: { buffer }, transferred: [buffer] };
  };

  /** A binary search: between the two ends there may be events of either side, and holes. */
  const offsetOf = ({ beforeMs }: OffsetRequest): Answered<OffsetRead> => {
    const [taken, takenMs]: number[] = ["takenThrough", "takenTimeMs"].map((name) => setting.get(name).value);
    let before = beforeMs > (takenMs as number) ? (taken as number) : 0;
    let notBefore: number = newest.get().offset + 1;
    while (notBefore - before > 1) {
      const middle = Math.floor((before + notBefore) / 2);
      const { offset, time } = from.get(middle);
      if (time < beforeMs) before = offset;
      else notBefore = middle;
    }
    return { value: { offset: before }, transferred: [] };
  };

  const answers = { page, caused: causedOf, first: firstOf, records: recordsOf, offset: offsetOf };

  return {
    opened: {},

    answer(question: Question): Answered<object> {
      return inOneState(() => answers[question.kind](question as never));
    },

    close,
  };
}
