import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import type { Appended, EventLog, NewEvent, Page, ReadRequest, StoredEvent } from "./event-log.ts";

/** What the proof needs of an engine. A directory is the place of one log and nothing else. */
export interface Engine {
  /** Opens the log of this directory, a new one where there is none. */
  open(directory: string): Promise<EventLog>;
  /** Starts a process that opens the log and appends to it for ever, several batches under way at any time. */
  appendElsewhere(directory: string): Appender;
  /** Makes a closed log one that a newer version wrote. */
  makeNewer(directory: string): Promise<void>;
  /** All that a closed log has stored, to be compared with `deepEqual`. */
  contents(directory: string): Promise<unknown>;
}

/** Another process that appends. */
export interface Appender {
  /** What it has said so far, each event once its `append` had resolved. */
  readonly acked: readonly { readonly id: string; readonly offset: number }[];
  /** Resolves when so many events are acked. */
  until(count: number): Promise<void>;
  /** Ends the process with SIGKILL. Resolves when it is gone and all that it said is in `acked`. */
  kill(): Promise<void>;
}

/**
 * Proves each sentence of `EventLog` for an engine, one test a sentence. `it` is the test framework's.
 *
 * ```ts
 * proveEventLog(engine, it);
 * ```
 */
export function proveEventLog(
  engine: Engine,
  it: (sentence: string, proof: () => Promise<void>) => void,
): void {
  const prove = (sentence: string, proof: (place: Place) => Promise<void>) => {
    it(sentence, async () => {
      const place = await Place.create(engine);
      try {
        await proof(place);
      } finally {
        await place.remove();
      }
    });
  };

  prove(
    "Offsets start at 1, grow by one with each event appended, and are never given twice, also after a restart.",
    async (place) => {
      const log = await place.open();
      assert.deepEqual(await log.append(events(3)), appended(1, 2, 3));
      assert.deepEqual(await log.append([]), []);
      assert.deepEqual(await log.append([event(), latest("k"), latest("k")]), appended(4, 5, 6));
      await log.close();

      const reopened = await place.open();
      assert.deepEqual(await reopened.append([latest("k")]), appended(7));
      assert.deepEqual(offsets(await readAll(reopened)), [1, 2, 3, 4, 7]);
    },
  );

  prove(
    "`append` resolves when its events are on disk: a crash of the process or the machine afterwards loses none of them.",
    async (place) => {
      for (let crash = 1, head = 0; crash <= 4; crash += 1) {
        const appender = place.appendElsewhere();
        await appender.until(1 + Math.floor(Math.random() * 500));
        await appender.kill();

        const log = await place.open();
        const kept = await readAll(log);
        assert.deepEqual(
          offsets(kept),
          kept.map((_, index) => index + 1),
        );
        assert.equal(new Set(ids(kept)).size, kept.length);
        for (const { id, offset } of appender.acked) {
          assert.equal(kept[offset - 1]?.id, id);
          assert.ok(offset > head);
        }
        head = log.head;
        await log.close();
      }
    },
  );

  prove(
    "A batch is appended whole and in its order, or, where `append` rejects, not at all.",
    async (place) => {
      const log = await place.open();
      const batch = events(100);
      await log.append(batch);
      const broken = { ...event(), data: null as unknown as string };
      const failing = log.append([latest("k"), ...events(3), broken, event()]);
      const next = event();
      const following = log.append([next]);
      await assert.rejects(failing);
      assert.deepEqual(await following, appended(101));
      assert.deepEqual(ids(await readAll(log)), ids([...batch, next]));
    },
  );

  prove(
    "Batches are appended in the order in which `append` was called, without waiting for one another.",
    async (place) => {
      const log = await place.open();
      const batches = Array.from({ length: 50 }, (_, index) => events(1 + (index % 7)));
      const answers = await Promise.all(batches.map((batch) => log.append(batch)));
      assert.deepEqual(answers.flat(), appended(...batches.flat().map((_, index) => index + 1)));
      assert.deepEqual(ids(await readAll(log)), ids(batches.flat()));
    },
  );

  prove(
    "An id that is kept is not appended again: the same event answers with the first offset and `duplicate`, also within one batch; another event under that id answers `ID_REUSED`, and the rest of its batch is appended.",
    async (place) => {
      const log = await place.open();
      const first = event();
      const other = event();
      const position = latest("k");
      await log.append([first, position]);
      const again = await log.append([
        first,
        { ...first, event: "delivered" },
        other,
        { ...first, data: "{}" },
        other,
        // What the hub adds may differ between two attempts at the same event.
        { ...first, timeMs: first.timeMs + 1 },
        position,
        event(),
      ]);
      assert.deepEqual(again, [
        { offset: 1, duplicate: true },
        { error: "ID_REUSED" },
        { offset: 3, duplicate: false },
        { error: "ID_REUSED" },
        { offset: 3, duplicate: true },
        { offset: 1, duplicate: true },
        { offset: 2, duplicate: true },
        { offset: 4, duplicate: false },
      ]);
      const kept = await readAll(log);
      assert.deepEqual(kept.slice(0, 3), stored([first, position, other]));
      assert.equal(kept.length, 4);
    },
  );

  prove("The same id in another contract is another event.", async (place) => {
    const log = await place.open();
    const one = event();
    const other = { ...one, contract: "letters", data: "{}" };
    assert.deepEqual(await log.append([one, other]), appended(1, 2));
    assert.deepEqual(await readAll(log), stored([one, other]));
  });

  prove(
    "Of `latest` events, only the newest per contract, event and key is read; its offset is that of the newest.",
    async (place) => {
      const log = await place.open();
      const kept = [
        { ...latest("a"), contract: "letters" },
        { ...latest("a"), event: "fuel" },
        latest("b"),
        { ...event(), event: "position", key: "a" },
      ];
      await log.append([latest("a"), ...kept, latest("a")]);
      await log.append([latest("a"), latest("a")]);
      const newest = latest("a");
      await log.append([newest]);
      const found = await readAll(log);
      assert.deepEqual(ids(found), ids([...kept, newest]));
      assert.deepEqual(offsets(found), [2, 3, 4, 5, 9]);
    },
  );

  prove(
    "`head` is the offset of the newest event appended, 0 in an empty log, and does not move back.",
    async (place) => {
      const log = await place.open();
      assert.equal(log.head, 0);
      const [first, second] = [event(), event()];
      await log.append([first, second]);
      assert.equal(log.head, 2);
      await log.append([first]);
      assert.equal(log.head, 2);
      await log.append([latest("k"), latest("k"), first]);
      assert.equal(log.head, 4);
      await log.close();
      assert.equal((await place.open()).head, 4);
    },
  );

  prove(
    "`epoch` is the same for as long as the log exists, and different for every new log.",
    async (place) => {
      const log = await place.open();
      const { epoch } = log;
      await log.append([event()]);
      await log.close();
      assert.equal((await place.open()).epoch, epoch);

      const elsewhere = await Place.create(engine);
      try {
        assert.notEqual((await elsewhere.open()).epoch, epoch);
      } finally {
        await elsewhere.remove();
      }
      // A cursor is `<epoch>:<offset>`.
      assert.match(epoch, /^[^:]+$/);
    },
  );

  prove(
    "A read after N returns the events with higher offsets, in order, each once, that fit the filter; `through` moves past those that do not fit.",
    async (place) => {
      const log = await place.open();
      const said = Array.from({ length: 600 }, (_, index) => ({
        ...event(),
        event: index % 3 === 0 ? "delivered" : "pickup",
        rooms: index % 2 === 0 ? ["vendor:acme", "city:brno"] : ["vendor:other"],
        contract: index % 5 === 0 ? "letters" : "parcels",
        data: JSON.stringify({ index, text: "žluťoučký 🐎" }),
      }));
      await log.append(said);
      const all = stored(said);
      assert.deepEqual(await readAll(log), all);
      assert.deepEqual(await readAll(log, { after: 597 }), all.slice(597));
      assert.deepEqual(await log.read({ after: 10, limit: 5 }), { events: all.slice(10, 15), through: 15 });
      assert.deepEqual(await log.read({ after: 10, upTo: 12 }), { events: all.slice(10, 12), through: 12 });
      assert.deepEqual(await log.read({ after: 600 }), { events: [], through: 600 });
      assert.deepEqual(await log.read({ after: 900, upTo: 700 }), { events: [], through: 900 });

      const filter = {
        contract: "parcels",
        events: new Map<string, "all" | Set<string>>([
          ["pickup", new Set(["city:brno", "city:praha"])],
          ["delivered", "all"],
        ]),
      };
      const fitting = all.filter(
        ({ contract, event, rooms }) =>
          contract === "parcels" && (event === "delivered" || rooms.includes("city:brno")),
      );
      for (const limit of [1, 7, 10_000])
        assert.deepEqual(await readAll(log, { after: 0, limit, filter }), fitting);
      const nothing = { contract: "parcels", events: new Map() };
      assert.deepEqual(await log.read({ after: 20, limit: 30, filter: nothing }), {
        events: [],
        through: 50,
      });
    },
  );

  prove("A read sees every event whose `append` has resolved.", async (place) => {
    const log = await place.open();
    for (let round = 1; round <= 50; round += 1) {
      const batch = events(3);
      await log.append(batch);
      const page = await log.read({ after: (round - 1) * 3 });
      assert.deepEqual(ids(page.events), ids(batch));
      assert.equal(page.through, round * 3);
    }
  });

  prove("Reading and appending at once disturb neither.", async (place) => {
    const log = await place.open();
    const batches = Array.from({ length: 100 }, () => events(20));
    const readers = [1, 7, 500].map(async (limit) => {
      const seen: StoredEvent[] = [];
      for (let after = 0; after < 2_000; ) {
        const page: Page = await log.read({ after, limit });
        seen.push(...page.events);
        after = page.through;
        // At the head a read answers without the disk: let the append be heard.
        if (page.events.length === 0) await turn();
      }
      return seen;
    });
    const answers = await Promise.all(batches.map((batch) => log.append(batch)));
    assert.deepEqual(answers.flat(), appended(...batches.flat().map((_, index) => index + 1)));
    for (const seen of await Promise.all(readers)) assert.deepEqual(seen, stored(batches.flat()));
  });

  prove("Neither blocks the event loop of the caller while the disk works.", async (place) => {
    const log = await place.open();
    // Where the work is done in the caller's thread, the loop turns once, or a few times if the work is cut in pieces.
    const many = 100;
    const batch = events(10_000);
    assert.ok((await turnsDuring(() => log.append(batch))) > many);
    assert.ok((await turnsDuring(() => log.read({ after: 0, limit: 10_000 }))) > many);
  });

  prove(
    "Opening a log that is open elsewhere fails with `LOG_LOCKED`, and the one who holds it is not disturbed.",
    async (place) => {
      const log = await place.open();
      const said = events(2);
      await log.append(said.slice(0, 1));
      await assert.rejects(engine.open(place.directory), { code: "LOG_LOCKED" });
      await log.append(said.slice(1));
      assert.deepEqual(await readAll(log), stored(said));
      await log.close();
      await (await place.open()).close();

      // The same across processes, where the end of the other one, however sudden, frees the log.
      const appender = place.appendElsewhere();
      await appender.until(1);
      await assert.rejects(engine.open(place.directory), { code: "LOG_LOCKED" });
      // More than a pipe could hold of what was said before.
      await appender.until(appender.acked.length + 2_000);
      await appender.kill();
      assert.ok((await place.open()).head >= said.length + appender.acked.length);
    },
  );

  prove(
    "Opening a log that a newer version wrote fails with `LOG_NEWER` and changes nothing.",
    async (place) => {
      const log = await place.open();
      await log.append([event(), latest("k")]);
      await log.close();
      await engine.makeNewer(place.directory);
      const before = await engine.contents(place.directory);
      await assert.rejects(engine.open(place.directory), { code: "LOG_NEWER" });
      assert.deepEqual(await engine.contents(place.directory), before);
    },
  );

  prove("After `close`, which waits for appends under way, both fail with `CLOSED`.", async (place) => {
    const log = await place.open();
    const order: string[] = [];
    const batches = Array.from({ length: 10 }, () => events(100));
    const appends = batches.map((batch, index) =>
      log.append(batch).then(() => order.push(`append ${index}`)),
    );
    const reading = log.read({ after: 0 });
    const closing = log.close().then(() => order.push("close"));
    await assert.rejects(log.append([event()]), { code: "CLOSED" });
    await assert.rejects(log.read({ after: 0 }), { code: "CLOSED" });
    await Promise.all([...appends, reading, closing, log.close()]);
    assert.deepEqual(order, [...batches.map((_, index) => `append ${index}`), "close"]);
    assert.deepEqual(await readAll(await place.open()), stored(batches.flat()));
  });
}

/** A directory of a test's own, and all that the test opened in it. */
class Place {
  readonly directory: string;
  readonly #engine: Engine;
  readonly #opened: (() => Promise<void>)[] = [];

  private constructor(engine: Engine, directory: string) {
    this.#engine = engine;
    this.directory = directory;
  }

  static async create(engine: Engine): Promise<Place> {
    return new Place(engine, await mkdtemp(join(tmpdir(), "orrery-log-")));
  }

  async open(): Promise<EventLog> {
    const log = await this.#engine.open(this.directory);
    this.#opened.push(() => log.close());
    return log;
  }

  appendElsewhere(): Appender {
    const appender = this.#engine.appendElsewhere(this.directory);
    this.#opened.push(() => appender.kill());
    return appender;
  }

  async remove(): Promise<void> {
    await Promise.all(this.#opened.map((close) => close()));
    await rm(this.directory, { recursive: true });
  }
}

function event(): NewEvent {
  const id = randomUUID();
  return {
    contract: "parcels",
    id,
    event: "pickup",
    rooms: ["vendor:acme"],
    source: "vendor:acme",
    timeMs: 1_760_000_000_000,
    data: JSON.stringify({ id, note: "x".repeat(200) }),
    keep: "log",
  };
}

function events(count: number): NewEvent[] {
  return Array.from({ length: count }, event);
}

function latest(key: string): NewEvent {
  return { ...event(), event: "position", key, keep: "latest" };
}

function appended(...given: number[]): Appended[] {
  return given.map((offset) => ({ offset, duplicate: false }));
}

/** The events as they are read where they were the first in the log. */
function stored(said: readonly NewEvent[]): StoredEvent[] {
  return said.map((event, index) => ({ ...event, offset: index + 1 }));
}

function offsets(read: readonly StoredEvent[]): number[] {
  return read.map(({ offset }) => offset);
}

function ids(some: readonly NewEvent[]): string[] {
  return some.map(({ id }) => id);
}

async function readAll(log: EventLog, request: ReadRequest = { after: 0 }): Promise<StoredEvent[]> {
  const read: StoredEvent[] = [];
  for (let { after } = request; after < log.head; ) {
    const { events, through } = await log.read({ ...request, after });
    assert.ok(through > after);
    assert.ok(through - after <= (request.limit ?? 1_000));
    read.push(...events);
    after = through;
  }
  return read;
}

/** How often the event loop comes round from the call to its answer. */
async function turnsDuring(call: () => Promise<unknown>): Promise<number> {
  let isAnswered = false;
  const answered = call().finally(() => {
    isAnswered = true;
  });
  let turns = 0;
  for (; !isAnswered; turns += 1) await turn();
  await answered;
  return turns;
}
