import type { DatabaseSyncInstance } from "@photostructure/sqlite";
import type { Retention } from "./event-log.ts";

/** An event as retention looks at it. `bytes`: about what it takes in the file. */
export interface Held {
  readonly offset: number;
  readonly timeMs: number;
  readonly latest: number;
  readonly bytes: number;
}

/** What has to go. Both `Bytes` are those of `Held`. */
export interface Due {
  readonly olderThanMs: number;
  /** By how much the log is too large; 0 where it is not. */
  readonly excessBytes: number;
  /** Where a step ends, whatever is left. */
  readonly mostBytes: number;
}

/** `looked`: the last event that was looked at. `taken`: the last of those that are to go. */
export interface Choice {
  readonly looked?: Held;
  readonly taken?: Held;
}

/** What the newest batch brought. `bytes`: as it came from the other thread. */
export interface Brought {
  readonly events: number;
  readonly bytes: number;
}

/**
 * How many events a step looks at, or twice as many as the newest batch brought, so that it keeps pace with any. Batches
 * of 64 one after the other while 120_000 events are due, four runs each: append p99 6.7 to 15 ms with 500, 4.9 to 14
 * with 100 (but p50 1.2 to 1.7 ms, against 0.8 to 1.7), 11 to 22 with 2_000; 5.3 to 7.8 where nothing is due.
 */
const stepEvents = 500;

/** The same for the bytes of events, where they are large. */
const stepBytes = 1_000_000;

/**
 * How much more than it must a step takes by size, though never more than a tenth of what the log may hold, so that not
 * every batch has a step behind it. Batches of 64 at the bound, four runs each: p50 0.8 to 1.1 ms and 14 to 21 µs of CPU
 * an event with it, 1.7 to 1.8 ms and 26 to 31 µs without; 0.7 to 1.0 ms and 11 to 15 µs where nothing is taken.
 */
const spareBytes = 250_000;

/** The oldest of these events, as many as have to go. `latest` events are passed over. */
export function choose(held: Iterable<Held>, { olderThanMs, excessBytes, mostBytes }: Due): Choice {
  let choice: Choice = {};
  let bytes = 0;
  for (const looked of held) {
    const isDue = looked.timeMs < olderThanMs || bytes < excessBytes;
    if (!isDue || bytes >= mostBytes) break;
    if (looked.latest === 1) {
      choice = { ...choice, looked };
    } else {
      choice = { looked, taken: looked };
      bytes += looked.bytes;
    }
  }
  return choice;
}

/** Takes events out of the log, on the thread that writes it, and one step at a time. */
export function openRetention(db: DatabaseSyncInstance, { ageMs = Infinity, bytes = Infinity }: Retention) {
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  // An event's ids and names come to about 200 bytes, the index included. `octet_length` does not load a long text.
  const look = db.prepare(
    `SELECT offset, time AS timeMs, latest, octet_length(data) + octet_length(rooms) + 200 AS bytes
     FROM events WHERE offset > ? ORDER BY offset LIMIT ?`,
  );
  const first = db.prepare("SELECT time AS timeMs FROM events WHERE offset > ? ORDER BY offset LIMIT 1");
  const take = db.prepare("DELETE FROM events NOT INDEXED WHERE offset > ? AND offset <= ? AND latest = 0");
  const note = db.prepare(
    "INSERT OR REPLACE INTO settings VALUES ('head', ?), ('takenThrough', ?), ('takenTimeMs', ?)",
  );
  const usedPages = db.prepare(
    "SELECT page_count - freelist_count AS count FROM pragma_page_count, pragma_freelist_count",
  );
  const { page_size: pageBytes } = db.prepare("PRAGMA page_size").get();
  const settings = new Map(
    db
      .prepare("SELECT name, value FROM settings")
      .all()
      .map((row) => [row.name, row.value]),
  );
  let takenThrough: number = settings.get("takenThrough");
  let takenTimeMs: number = settings.get("takenTimeMs");
  /** Up to here there are no `log` events. */
  let looked = takenThrough;
  /** Of the first event behind `looked`, where that is known. */
  let oldestMs: number | undefined;

  /** Above 0 where the log is too large: then with what is to be spare. */
  const excessBytes = (): number => {
    if (bytes === Infinity) return 0;
    const excess = usedPages.get().count * pageBytes - bytes;
    return excess > 0 ? excess + Math.min(spareBytes, bytes / 10) : 0;
  };

  const isDue = (head: number, nowMs: number): boolean => {
    if (looked === head) return false;
    oldestMs ??= first.get(looked)?.timeMs ?? Infinity;
    return (oldestMs as number) < nowMs - ageMs || excessBytes() > 0;
  };

  const remove = ({ offset, timeMs }: Held, head: number): void => {
    begin.run();
    try {
      take.run(takenThrough, offset);
      note.run(head, offset, Math.max(takenTimeMs, timeMs));
      commit.run();
      takenThrough = offset;
      takenTimeMs = Math.max(takenTimeMs, timeMs);
    } finally {
      if (db.isTransaction) db.exec("ROLLBACK");
    }
  };

  return {
    /** One step where one is due. Whether another one is. */
    step(head: number, nowMs: number, brought: Brought): boolean {
      if (!isDue(head, nowMs)) return false;
      const held: Held[] = look.all(looked, Math.max(stepEvents, 2 * brought.events));
      const choice = choose(held, {
        olderThanMs: nowMs - ageMs,
        excessBytes: excessBytes(),
        mostBytes: Math.max(stepBytes, 2 * brought.bytes),
      });
      if (choice.taken !== undefined) remove(choice.taken, head);
      looked = choice.looked?.offset ?? (held.length === 0 ? head : looked);
      oldestMs = undefined;
      return isDue(head, nowMs);
    },
  };
}
