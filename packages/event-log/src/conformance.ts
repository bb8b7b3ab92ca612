import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import type {
  Appended,
  EventLog,
  NewEvent,
  Page,
  ReadRequest,
  RecordChange,
  Retention,
  StoredEvent,
} from "./event-log.ts";
import { eventTexts } from "./event-text.ts";

/** With what a log is opened. Nothing set: without bounds. */
export interface Bounds {
  readonly retention?: Retention;
  /** How large the log may grow, roughly; past it, it is full. */
  readonly maxBytes?: number;
}

/** What the proof needs of an engine. A directory is the place of one log and nothing else. */
export interface Engine {
  /** Opens the log of this directory, a new one where there is none. */
  open(directory: string, bounds?: Bounds): Promise<EventLog>;
  /**
   * Starts a process that opens the log and appends to it for ever, several batches under way at any time. With each
   * batch comes a record: its name is the `source` of the batch's events, its value the id of the last of them, as JSON.
   */
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
        const { acked, log, kept } = await place.openAfterCrash();
        assert.deepEqual(
          offsets(kept),
          kept.map((_, index) => index + 1),
        );
        assert.equal(new Set(ids(kept)).size, kept.length);
        for (const { id, offset } of acked) {
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

  prove(
    "What came of the same event, under the same id and name, is the same event whatever its data: another attempt's.",
    async (place) => {
      const log = await place.open();
      const first = { ...event(), cause: "c" };
      await log.append([first]);
      const repeats = [
        { ...first, data: '"later"' },
        { ...first, data: '"later"', event: "delivered" },
        { ...first, data: '"later"', cause: "d" },
        event(),
      ];
      assert.deepEqual(await log.append(repeats), [
        { offset: 1, duplicate: true },
        { error: "ID_REUSED" },
        { error: "ID_REUSED" },
        { offset: 2, duplicate: false },
      ]);
      assert.deepEqual((await readAll(log))[0], { ...first, offset: 1 });
    },
  );

  prove("The same id in another contract, or of another source, is another event.", async (place) => {
    const log = await place.open();
    const one = event();
    const others = [
      { ...one, contract: "letters" },
      { ...one, source: "driver:other", data: "{}" },
    ];
    assert.deepEqual(await log.append([one, ...others]), appended(1, 2, 3));
    assert.deepEqual(await readAll(log), stored([one, ...others]));
  });

  prove(
    "Under one `idScope`, the same id is the same event whatever its source; under another one it is another event.",
    async (place) => {
      const log = await place.open();
      const one = { ...event(), idScope: "s" };
      const { idScope: _, ...plain } = one;
      const elsewhere = [plain, { ...one, idScope: "t" }, { ...plain, source: "s", data: "{}" }];
      assert.deepEqual(await log.append([one, { ...one, source: "driver:other" }, ...elsewhere]), [
        { offset: 1, duplicate: false },
        { offset: 1, duplicate: true },
        { offset: 2, duplicate: false },
        { offset: 3, duplicate: false },
        { error: "ID_REUSED" },
      ]);
      assert.deepEqual(await readAll(log), stored([one, ...elsewhere.slice(0, 2)]));
    },
  );

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
    "Records are changed in the same commit as the batch that they come with: after a crash both are there, or neither.",
    async (place) => {
      for (let crash = 1; crash <= 2; crash += 1) {
        const { log, kept } = await place.openAfterCrash();
        const newest = new Map(kept.map(({ source, id }) => [source, JSON.stringify(id)]));
        assert.deepEqual(await recordsOf(log), Object.fromEntries(newest));
        await log.close();
      }

      const log = await place.open();
      const before = await recordsOf(log);
      const broken = { ...event(), data: null as unknown as string };
      await assert.rejects(log.append([event(), broken], [record("lost")]));
      assert.deepEqual(await recordsOf(log), before);
      // What an event answers is its own affair.
      const first = event();
      await log.append([first]);
      const answers = await log.append([{ ...first, data: "{}" }], [record("kept", 1)]);
      assert.deepEqual(answers, [{ error: "ID_REUSED" }]);
      assert.deepEqual(await recordsOf(log), { ...before, kept: "1" });
    },
  );

  prove(
    "A whole is appended in its place in the batch, with its records or not at all, and what becomes of it touches nothing else.",
    async (place) => {
      const log = await place.open();
      const [first, repeated, outcome, between, last] = events(5) as [NewEvent, ...NewEvent[]];
      await log.append([first]);
      const reused = { ...first, data: '"other"' };
      const batch = [outcome, repeated, repeated, event(), reused, event(), between, repeated, last];
      const wholes = [
        { first: 0, count: 2, records: [record("a")] },
        { first: 3, count: 3, records: [record("b")] },
        { first: 7, count: 0, records: [record("c")] },
        { first: 7, count: 2, records: [record("d")] },
      ];
      assert.deepEqual(await log.append(batch as NewEvent[], [record("batch")], wholes), [
        ...appended(2, 3),
        { offset: 3, duplicate: true },
        { error: "WITHHELD" },
        { error: "ID_REUSED" },
        { error: "WITHHELD" },
        ...appended(4),
        { offset: 3, duplicate: true },
        ...appended(5),
      ]);
      assert.equal(log.head, 5);
      assert.deepEqual(Object.keys(await recordsOf(log)), ["a", "batch", "c", "d"]);
      assert.deepEqual(await readAll(log), stored([first, outcome, repeated, between, last] as NewEvent[]));
    },
  );

  prove(
    "A record has the value of its last change; a null removes it. Records are not touched by retention.",
    async (place) => {
      const log = await place.open({ retention: { ageMs: 1 } });
      assert.deepEqual(await log.append([], [record("a", 1), record("b", 1), record("a", 2)]), []);
      assert.deepEqual(await recordsOf(log), { a: "2", b: "1" });
      await log.append([event()], [record("b", null), record("c", 3), record("never", null)]);
      await Promise.all([log.append([], [record("a", 4)]), log.append([], [record("a", 5)])]);
      assert.deepEqual(await recordsOf(log), { a: "5", c: "3" });
      assert.equal(log.head, 1);
      await takenThrough(log, 1);
      assert.deepEqual(await recordsOf(log), { a: "5", c: "3" });
      await log.close();

      const reopened = await place.open();
      assert.deepEqual(await recordsOf(reopened), { a: "5", c: "3" });
      const names = ["x", "x_", "x_1", "x%", "x%1", "xy1", "X_1", "x_\u{10FFFF}\u{10FFFF}", "x_🐎", "y"];
      await reopened.append(
        [],
        names.map((name) => record(name, name)),
      );
      for (const prefix of ["", "x", "x_", "x%", "xy", "X", "x_\u{10FFFF}", "x_🐎", "x_1_"]) {
        const found = Object.keys(await recordsOf(reopened, prefix));
        const all = [...names, "a", "c"];
        assert.deepEqual(found.sort(), all.filter((name) => name.startsWith(prefix)).sort());
      }
    },
  );

  prove(
    "`offsetBefore` a time is the offset of the newest event that was taken in before it, 0 where there is none.",
    async (place) => {
      const log = await place.open();
      assert.equal(await log.offsetBefore(1e15), 0);
      // Ten events each second, with holes of different widths, where the newest of a key follows them.
      const said = Array.from({ length: 700 }, (_, index) => ({
        ...(index % 50 < 20 ? latest(index < 400 ? "k" : "other") : event()),
        timeMs: 1_000 * Math.floor(index / 10),
      }));
      await log.append(said);
      const kept = await readAll(log);
      for (let timeMs = 0; timeMs <= 71_000; timeMs += 500) {
        const expected = kept.findLast((event) => event.timeMs < timeMs)?.offset ?? 0;
        assert.equal(await log.offsetBefore(timeMs), expected, `before ${timeMs}`);
      }
      await log.close();

      // Of those that are gone, where it was one of them.
      const aged = await place.open({ retention: { ageMs: 1 } });
      await takenThrough(aged, 700);
      const newest = kept.findLast(({ keep }) => keep === "log");
      assert.equal(newest?.offset, 700);
      assert.equal(await aged.offsetBefore(newest.timeMs + 1), 700);
      const last = kept.findLast(({ keep }) => keep === "latest");
      assert.equal(await aged.offsetBefore((last?.timeMs ?? 0) + 1), last?.offset);
    },
  );

  prove(
    "Of `latest` events alone, a read returns what a read of everything would, without passing over the others.",
    async (place) => {
      const log = await place.open();
      const said = Array.from({ length: 3_000 }, (_, index) => {
        const one = index % 5 === 0 ? latest(`k${index % 400}`) : event();
        const named = index % 3 === 0 ? { ...one, event: "fuel" } : one;
        return {
          ...named,
          rooms: index % 2 === 0 ? ["vendor:acme"] : ["vendor:other"],
          contract: index % 7 === 0 ? "letters" : "parcels",
        };
      });
      await log.append(said);
      const events = new Map<string, "all" | Set<string>>([
        ["position", new Set(["vendor:acme"])],
        ["fuel", "all"],
      ]);
      const filter = { contract: "parcels", events };
      const everything = (await readAll(log, { after: 0, filter })).filter(({ keep }) => keep === "latest");
      assert.ok(everything.length > 30);
      for (const limit of [1, 7, 10_000]) {
        const request = { after: 0, limit, filter, latestOnly: true };
        const read: StoredEvent[] = [];
        for (let after = 0; after < log.head; ) {
          const page = await log.read({ ...request, after });
          assert.ok(page.events.length <= limit);
          assert.ok(page.through > after);
          read.push(...page.events);
          after = page.through;
        }
        assert.deepEqual(read, everything);
      }
      const [first, second, third] = everything.filter(({ event }) => event === "fuel");
      const fuel = { contract: "parcels", events: new Map([["fuel", "all" as const]]) };
      const request = { filter: fuel, latestOnly: true };
      assert.deepEqual(await log.read({ ...request, after: 0, limit: 2 }), {
        events: [first, second],
        through: second?.offset,
        takenThrough: 0,
      });
      const some = { ...request, after: first?.offset ?? 0, upTo: third?.offset ?? 0 };
      assert.deepEqual((await log.read(some)).events, [second, third]);
      const none = { contract: "parcels", events: new Map([["pickup", "all" as const]]) };
      assert.deepEqual(await log.read({ after: 0, filter: none, latestOnly: true, limit: 1 }), {
        events: [],
        through: 3_000,
        takenThrough: 0,
      });
    },
  );

  prove(
    "Retention takes the oldest events first, by age and by size, never the newest of `latest` events, and each page says how far it came: no event is missing from a page without `takenThrough` telling so.",
    async (place) => {
      const bytes = 1_000_000;
      const log = await place.open({ retention: { bytes } });
      const positions = ["a", "b", "c"].map(latest);
      const said: NewEvent[] = [];
      const append = async (batch: readonly NewEvent[]) => {
        said.push(...batch);
        await log.append(batch);
      };
      // Reads from every place once, while what it reads may be taken.
      let isOver = false;
      const reading = (async () => {
        const mostTaken = { through: 0 };
        for (let after = 0; !isOver; after = after >= log.head ? 0 : after + 97) {
          const page = await log.read({ after, limit: 300 });
          assertNothingMissing(page, after, said);
          assert.ok(page.takenThrough >= mostTaken.through);
          mostTaken.through = page.takenThrough;
          await turn();
        }
      })();
      await append([latest("a"), ...positions]);
      for (let size = 1; said.length < 12_000; size = (size * 3) % 400) await append(events(size));
      isOver = true;
      await reading;

      // More than nothing, and no more than it had to: half of what the log may hold is still there.
      const { takenThrough: bySize } = await log.read({ after: 0 });
      assert.ok(bySize > 0);
      const leftBytes = said.slice(bySize).reduce((sum, { data }) => sum + data.length, 0);
      assert.ok(leftBytes < bytes && leftBytes > bytes / 4, `${leftBytes} bytes are left`);
      await log.close();

      const old = Date.now() - 3_600_000;
      const aging = await place.open({ retention: { ageMs: 3_600_000 } });
      const before = aging.head;
      await takenThrough(aging, before);
      assert.deepEqual(ids(await readAll(aging)), ids(positions));
      // The newest of `latest` events stay, however old they are; and without any append more, what gets old goes.
      const [aged, fresh] = [latest("d"), { ...event(), timeMs: Date.now() }];
      await aging.append([aged, { ...event(), timeMs: old + 500 }, fresh]);
      await takenThrough(aging, before + 2);
      assert.deepEqual(ids(await readAll(aging)), ids([...positions, aged, fresh]));
      await aging.close();

      const reopened = await place.open({ retention: { ageMs: 1 } });
      await takenThrough(reopened, before + 3);
      await reopened.close();
      const again = await place.open();
      assert.equal(again.head, before + 3);
      assert.equal((await again.read({ after: again.head })).takenThrough, before + 3);
      assert.deepEqual(await again.append([event()]), appended(before + 4));
    },
  );

  prove(
    "Retention works in steps between appends, and holds none of them up for longer than one step.",
    async (place) => {
      const log = await place.open();
      for (let batch = 0; batch < 5; batch += 1) await log.append(events(10_000));
      await log.close();

      // All of it is due at once. Done in one go, the first append would find nothing taken yet, or everything.
      const aging = await place.open({ retention: { ageMs: 60_000 } });
      const seen = new Set<number>();
      for (let taken = 0; taken < 50_000; seen.add(taken)) {
        await aging.append([{ ...event(), timeMs: Date.now() }]);
        taken = (await aging.read({ after: 0, limit: 1 })).takenThrough;
      }
      assert.ok(seen.size > 10, `only ${seen.size} steps were seen`);
    },
  );

  prove("An id is free again when retention has taken its event.", async (place) => {
    const log = await place.open({ retention: { ageMs: 60_000 } });
    const [one, held] = [event(), { ...event(), timeMs: Date.now() }];
    await log.append([one, held]);
    await takenThrough(log, 1);
    const another = { ...one, timeMs: Date.now(), data: "{}" };
    assert.deepEqual(await log.append([another, held]), [
      { offset: 3, duplicate: false },
      { offset: 2, duplicate: true },
    ]);
    assert.deepEqual(ids(await readAll(log)), ids([held, another]));
  });

  prove(
    "A log that has no room left refuses an append with `LOG_FULL`, keeps all that it has acked, and appends again when there is room.",
    async (place) => {
      const maxBytes = 1_000_000;
      const log = await place.open({ maxBytes });
      const acked: NewEvent[] = [];
      const full = { code: "LOG_FULL" };
      const fill = async () => {
        for (;;) {
          const batch = events(50);
          await log.append(batch, [record("acked", acked.length + 50)]);
          acked.push(...batch);
        }
      };
      await assert.rejects(fill(), full);
      assert.ok(acked.length > 0);
      const data = JSON.stringify("x".repeat(maxBytes));
      const tooMuch = [event(), { ...event(), data }];
      await assert.rejects(log.append(tooMuch, [record("acked", 0)]), full);
      const kept = async (some: EventLog) => {
        assert.deepEqual(await readAll(some), stored(acked));
        assert.deepEqual(await recordsOf(some), { acked: `${acked.length}` });
        assert.equal(some.head, acked.length);
      };
      await kept(log);
      assert.deepEqual(await log.append(acked.slice(0, 1)), [{ offset: 1, duplicate: true }]);
      await log.close();
      const reopened = await place.open({ maxBytes });
      await kept(reopened);
      await reopened.close();

      // There is room when retention has made some.
      const roomy = await place.open({ maxBytes, retention: { bytes: maxBytes / 2 } });
      await assert.rejects(roomy.append(tooMuch), full);
      const more = events(50);
      await until(() =>
        roomy.append(more).then(
          () => true,
          () => false,
        ),
      );
      await roomy.close();
      const after = await place.open({ maxBytes });
      const { takenThrough: taken } = await after.read({ after: 0 });
      assert.ok(taken > 0 && taken < acked.length);
      assert.deepEqual(await readAll(after), stored([...acked, ...more]).slice(taken));
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
      const whole = { takenThrough: 0 };
      assert.deepEqual(await readAll(log), all);
      assert.deepEqual(await readAll(log, { after: 597 }), all.slice(597));
      assert.deepEqual(await log.read({ after: 10, limit: 5 }), {
        events: all.slice(10, 15),
        through: 15,
        ...whole,
      });
      assert.deepEqual(await log.read({ after: 10, upTo: 12 }), {
        events: all.slice(10, 12),
        through: 12,
        ...whole,
      });
      assert.deepEqual(await log.read({ after: 600 }), { events: [], through: 600, ...whole });
      assert.deepEqual(await log.read({ after: 900, upTo: 700 }), { events: [], through: 900, ...whole });

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
        ...whole,
      });
    },
  );

  prove(
    "`caused` finds the events of a key that came of another event, in order, without passing over the others.",
    async (place) => {
      const log = await place.open();
      const of = (key: string, cause?: string): NewEvent => ({
        ...event(),
        key,
        ...(cause !== undefined && { cause }),
      });
      const batch = [
        of("a"),
        of("a", "x"),
        of("b", "x"),
        { ...of("a", "x"), contract: "other" },
        of("a", "y"),
      ];
      await log.append(batch);
      await log.append(events(2_000));
      const [, second, , , fifth] = stored(batch);
      const ofA = { contract: "parcels", key: "a", dataOf: "pickup", after: 0 };
      assert.deepEqual(await log.caused(ofA), [second, fifth]);
      assert.deepEqual(await log.caused({ ...ofA, key: "none" }), []);
      await log.close();
      assert.deepEqual(await (await place.open()).caused(ofA), [second, fifth]);
    },
  );

  prove(
    "Of these, those of the name that is asked for have their data, and the others an empty text.",
    async (place) => {
      const log = await place.open();
      const of = (name: string): NewEvent => ({
        ...event(),
        event: name,
        key: "a",
        cause: "x",
        idScope: "s",
      });
      const batch = [of("pickup"), of("delivered")];
      await log.append(batch);
      const [first, second] = stored(batch);
      const request = { contract: "parcels", key: "a", dataOf: "delivered", after: 0 };
      assert.deepEqual(await log.caused(request), [{ ...first, data: "" }, second]);
    },
  );

  prove(
    "It returns the first of them behind `after`, `limit` at most: read on after the last one, they all come, each once.",
    async (place) => {
      const log = await place.open();
      const of = (key: string): NewEvent => ({ ...event(), key, cause: "x" });
      const batch = Array.from({ length: 2_500 }, (_, index) => of(index % 5 === 0 ? "b" : "a"));
      await log.append(batch);
      const all = stored(batch).filter(({ key }) => key === "a");
      for (const limit of [7, 1_000, undefined]) {
        const read: StoredEvent[] = [];
        for (let isMore = true; isMore; ) {
          const request = {
            contract: "parcels",
            key: "a",
            dataOf: "pickup",
            after: read.at(-1)?.offset ?? 0,
          };
          const page = await log.caused({ ...request, ...(limit !== undefined && { limit }) });
          read.push(...page);
          isMore = page.length === (limit ?? 1_000);
        }
        assert.deepEqual(read, all);
      }
    },
  );

  prove(
    "`firstOffsets` finds the event with the lowest id of those that begin with a text, without passing over the others.",
    async (place) => {
      const log = await place.open();
      const of = (id: string): NewEvent => ({ ...event(), id });
      await log.append([
        of("1 b"),
        of("12 a"),
        of("1 a"),
        { ...of("1 "), contract: "other" },
        of("☃ 🛰"),
        of("2"),
      ]);
      const beginnings = ["1 ", "12 ", "3", "☃", "1 b"];
      assert.deepEqual(
        [...(await log.firstOffsets("parcels", beginnings))],
        [
          ["1 ", 3],
          ["12 ", 2],
          ["☃", 5],
          ["1 b", 1],
        ],
      );
      assert.deepEqual([...(await log.firstOffsets("parcels", []))], []);
    },
  );

  prove(
    "`readTexts` finds what `read` finds, as the texts that `eventTexts` makes of it, in the runs that `runsOf` makes of those.",
    async (place) => {
      const log = await place.open();
      const awkward = { ...event(), id: 'a"\\b', key: "\u0007 \u2028 ☃ 🛰", cause: 'c"' };
      const large = { ...event(), data: JSON.stringify("x".repeat(100_000)) };
      const batch = [awkward, large, ...events(30), latest("k"), latest("l"), latest("k")];
      await log.append(batch.map((one, place) => (place % 3 === 0 ? { ...one, rooms: ["city:brno"] } : one)));
      const inBrno = { contract: "parcels", events: new Map([["pickup", new Set(["city:brno"])]]) };
      const toText = eventTexts();
      for (const request of [
        { after: 0 },
        { after: 3, upTo: 20, limit: 10 },
        { after: 0, filter: inBrno },
        { after: 0, filter: { contract: "parcels", events: new Map([["position", "all" as const]]) } },
        {
          after: 0,
          latestOnly: true,
          filter: { contract: "parcels", events: new Map([["position", "all" as const]]) },
        },
      ]) {
        const { events, ...rest } = await log.read(request);
        const texts = events.map((one) => toText(one, one.offset));
        for (const runLength of [0, 500, 1_000_000]) {
          const page = await log.readTexts({ ...request, runLength });
          assert.deepEqual({ ...page, texts: page.texts.join() }, { ...rest, texts: texts.join() });
          const parsed = page.texts.map((run) => JSON.parse(`[${run}]`) as unknown[]);
          assert.ok(page.texts.every((run, place) => run.length <= runLength || parsed[place]?.length === 1));
        }
        assert.deepEqual((await log.readTexts(request)).texts, texts);
      }
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
    // Where the work is done in the caller's thread, the loop turns once, or a few times if the work is cut in pieces. One try
    // may be short of turns on a machine that has no time for the caller; where it blocks, all are.
    const many = 100;
    const mostOf = async (call: () => Promise<unknown>) => {
      let most = 0;
      for (let tries = 0; tries < 5 && most <= many; tries += 1)
        most = Math.max(most, await turnsDuring(call));
      return most;
    };
    assert.ok((await mostOf(() => log.append(events(10_000)))) > many);
    assert.ok((await mostOf(() => log.read({ after: 0, limit: 10_000 }))) > many);
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

  prove(
    "After `close`, which waits for appends under way, all of them fail with `CLOSED`.",
    async (place) => {
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
      await assert.rejects(log.records(""), { code: "CLOSED" });
      await assert.rejects(log.offsetBefore(1), { code: "CLOSED" });
      await assert.rejects(log.firstOffsets("parcels", ["a"]), { code: "CLOSED" });
      await assert.rejects(log.caused({ contract: "parcels", key: "a", dataOf: "pickup", after: 0 }), {
        code: "CLOSED",
      });
      await Promise.all([...appends, reading, closing, log.close()]);
      assert.deepEqual(order, [...batches.map((_, index) => `append ${index}`), "close"]);
      assert.deepEqual(await readAll(await place.open()), stored(batches.flat()));
    },
  );
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

  async open(bounds: Bounds = {}): Promise<EventLog> {
    const log = await this.#engine.open(this.directory, bounds);
    this.#opened.push(() => log.close());
    return log;
  }

  appendElsewhere(): Appender {
    const appender = this.#engine.appendElsewhere(this.directory);
    this.#opened.push(() => appender.kill());
    return appender;
  }

  /** Opens what a process leaves that is killed while it appends, sooner or later. */
  async openAfterCrash() {
    const appender = this.appendElsewhere();
    await appender.until(1 + Math.floor(Math.random() * 500));
    await appender.kill();
    const log = await this.open();
    return { log, kept: await readAll(log), acked: appender.acked };
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

function record(name: string, value: unknown = ""): RecordChange {
  return { name, value: value === null ? null : JSON.stringify(value) };
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

async function recordsOf(log: EventLog, prefix = ""): Promise<Record<string, string>> {
  return Object.fromEntries(await log.records(prefix));
}

/** Every event between the page's ends that was said is on it, or of `latest`, or taken as the page says. */
function assertNothingMissing(
  { events, through, takenThrough }: Page,
  after: number,
  said: readonly NewEvent[],
): void {
  const found = new Map(events.map(({ offset, id }) => [offset, id]));
  for (let offset = Math.max(after, takenThrough) + 1; offset <= through; offset += 1) {
    const event = said[offset - 1];
    if (event?.keep === "log") assert.equal(found.get(offset), event.id, `${offset} is missing`);
  }
}

/** Resolves when retention has come so far, without an append that would start it. */
async function takenThrough(log: EventLog, offset: number): Promise<void> {
  await until(async () => (await log.read({ after: 0, limit: 1 })).takenThrough >= offset);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await pause(5);
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
