import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { DatabaseSync } from "@photostructure/sqlite";
import { type Appender, type Engine, proveEventLog } from "../src/conformance.ts";
import {
  type EventLog,
  type NewEvent,
  openSqliteLog,
  type Page,
  type SqliteLogOptions,
  type StoredEvent,
} from "../src/index.ts";
import { heardWarnings } from "./heard-warnings.ts";

const fileIn = (directory: string) => join(directory, "events.db");

function event(): NewEvent {
  const [contract, name, source] = ["parcels", "pickup", "vendor:acme"];
  return { contract, id: randomUUID(), event: name, rooms: [], source, timeMs: 1, data: "{}", keep: "log" };
}

const events = (count: number): NewEvent[] => Array.from({ length: count }, event);

/** Resolves when retention has come so far. */
async function untilTaken(log: EventLog, offset: number): Promise<void> {
  while ((await log.read({ after: 0, limit: 1 })).takenThrough < offset) await pause(5);
}

/** What an operator's own tool would do to the file. */
function tamper(directory: string, sql: string): void {
  const db = new DatabaseSync(fileIn(directory));
  db.exec(sql);
  db.close();
}

function appendElsewhere(directory: string): Appender {
  const program = fileURLToPath(new URL("./some-appender.ts", import.meta.url));
  const flags = ["--conditions=@orrery/source", "--import", "tsx"];
  const child = spawn(process.execPath, [...flags, program, fileIn(directory)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(child, "close");
  const acked: { id: string; offset: number }[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    const [id = "", offset] = line.split(" ");
    acked.push({ id, offset: Number(offset) });
  });
  return {
    acked,
    async until(count) {
      while (acked.length < count) {
        const ended = await Promise.race([once(lines, "line").then(() => false), gone.then(() => true)]);
        if (ended) throw new Error("the appender has ended by itself");
      }
    },
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

const engine: Engine = {
  open: (directory, bounds) => openSqliteLog({ file: fileIn(directory), ...bounds }),
  appendElsewhere,
  makeNewer: async (directory) => tamper(directory, "PRAGMA user_version = 99"),
  contents: (directory) => readFile(fileIn(directory)),
};

describe("EventLog, kept by SQLite:", () => {
  proveEventLog(engine, it);
});

/** Makes a log one of the first version. */
const toFirstVersion = `
  ALTER TABLE events RENAME TO newer;
  CREATE TABLE events (
    offset INTEGER PRIMARY KEY,
    contract TEXT NOT NULL,
    id TEXT NOT NULL,
    event TEXT NOT NULL,
    key TEXT,
    rooms TEXT NOT NULL,
    source TEXT NOT NULL,
    time INTEGER NOT NULL,
    data TEXT NOT NULL,
    latest INTEGER NOT NULL,
    UNIQUE (contract, id)
  ) STRICT;
  INSERT INTO events SELECT offset, contract, id, event, key, rooms, source, time, data, latest FROM newer;
  DROP TABLE newer;
  CREATE INDEX latest ON events (contract, event, key) WHERE latest = 1;
  PRAGMA user_version = 1;
`;

describe("The SQLite engine", () => {
  let directory = "";
  let opened: EventLog[] = [];
  const open = async (options: Partial<SqliteLogOptions> = {}) => {
    const log = await openSqliteLog({ file: fileIn(directory), ...options });
    opened.push(log);
    return log;
  };
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "orrery-sqlite-"));
  });
  afterEach(async () => {
    await Promise.all(opened.map((log) => log.close()));
    opened = [];
    await rm(directory, { recursive: true });
  });

  it("creates the directories above its file", async () => {
    await open({ file: join(directory, "a", "b", "events.db") });
    expect(await readdir(join(directory, "a", "b"))).toContain("events.db");
  });

  it("leaves one file with everything in it when it is closed", async () => {
    const log = await open();
    await log.append([event()]);
    await log.close();
    expect((await readdir(directory)).sort()).toEqual(["events.db", "events.db.lock"]);
  });

  it("takes up a log of an older version with all that is in it", async () => {
    const log = await open();
    await log.append(events(2));
    await log.close();
    tamper(directory, toFirstVersion);
    const again = await open();
    const [first, second] = (await again.read({ after: 0 })).events as [StoredEvent, StoredEvent];
    const others = [first, { ...second, source: "vendor:other" }, { ...event(), key: "k", cause: "c" }];
    expect(await again.append(others)).toEqual([
      { offset: 1, duplicate: true },
      { offset: 3, duplicate: false },
      { offset: 4, duplicate: false },
    ]);
    expect((await again.read({ after: 0 })).events.map(({ offset }) => offset)).toEqual([1, 2, 3, 4]);
    const ofKey = { contract: "parcels", key: "k", dataOf: "pickup", after: 0 };
    expect(await again.caused(ofKey)).toMatchObject([{ offset: 4, cause: "c" }]);
  });

  it("says which file is no log of ours, and leaves it as it is", async () => {
    const text = "This is a letter and no database. ".repeat(100);
    await writeFile(fileIn(directory), text);
    await expect(open()).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining(fileIn(directory)),
    });
    expect(await readFile(fileIn(directory), "utf8")).toBe(text);

    await rm(fileIn(directory));
    tamper(directory, "CREATE TABLE stamps (colour TEXT)");
    const stamps = await readFile(fileIn(directory));
    await expect(open()).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    expect(await readFile(fileIn(directory))).toEqual(stamps);
  });

  it("says which path cannot hold a log", async () => {
    await writeFile(join(directory, "letter"), "");
    const file = join(directory, "letter", "events.db");
    await expect(open({ file })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining(file),
    });
  });

  it("finds the lock through a symbolic link", async () => {
    await open();
    const link = join(directory, "link.db");
    await symlink(fileIn(directory), link);
    await expect(open({ file: link })).rejects.toMatchObject({ code: "LOG_LOCKED" });
  });

  it("rolls a batch back that SQLite refuses, with LOG_FAILED and the cause, and takes the next", async () => {
    const log = await open();
    tamper(
      directory,
      `CREATE TRIGGER full BEFORE INSERT ON events WHEN new.event = 'last straw'
       BEGIN SELECT raise(FAIL, 'the disk is full'); END`,
    );
    const refused = log.append([event(), { ...event(), event: "last straw" }]);
    await expect(refused).rejects.toMatchObject({
      code: "LOG_FAILED",
      cause: expect.objectContaining({ message: "the disk is full" }),
    });
    expect(log.head).toBe(0);
    expect(await log.append([event()])).toEqual([{ offset: 1, duplicate: false }]);
  });

  it("ends a page of large events early, and `through` says where", async () => {
    const log = await open();
    const data = JSON.stringify("x".repeat(20_000));
    const batch = Array.from({ length: 600 }, () => ({ ...event(), data }));
    await log.append(batch);
    const pages: Page[] = [];
    for (let after = 0; after < log.head; after = pages.at(-1)?.through ?? after) {
      pages.push(await log.read({ after }));
    }
    expect(pages.length).toBeGreaterThan(1);
    expect(pages.flatMap(({ events }) => events.map(({ offset }) => offset))).toEqual(
      batch.map((_, i) => i + 1),
    );
    for (const { events, through } of pages) expect(events.at(-1)?.offset).toBe(through);
  });

  it("refuses bounds that are none, and a retention that would begin when the log is full", async () => {
    const bad: Partial<SqliteLogOptions>[] = [
      { retention: { ageMs: 0 } },
      { retention: { bytes: -1 } },
      { retention: { ageMs: 1_000, bytes: Number.NaN } },
      { maxBytes: Number.NaN },
      { maxBytes: 0 },
      { maxBytes: 1_000_000, retention: { bytes: 1_000_000 } },
    ];
    for (const bounds of bad) {
      await expect(open(bounds)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    }
    const all = open({ retention: { ageMs: -1, bytes: 0 }, maxBytes: -2 });
    await expect(all).rejects.toThrow(/ageMs.*-1.*bytes.*0.*maxBytes.*-2/);
    expect(await readdir(directory)).toEqual([]);
    await open({ retention: { ageMs: Infinity, bytes: 1 }, maxBytes: Infinity });
  });

  it("keeps a log within its bounds for as long as it is appended to, whatever the batches, several under way", async () => {
    const [bytes, maxBytes] = [4_000_000, 10_000_000];
    const log = await open({ retention: { bytes }, maxBytes });
    const sizes = [1, 64, 1_000, 3_000];
    await Promise.all(
      sizes.map(async (size) => {
        while (log.head < 100_000) await log.append(events(size));
      }),
    );
    const { takenThrough } = await log.read({ after: 0 });
    // 4 MB are about 20_000 of these events.
    expect(log.head - takenThrough).toBeLessThan(40_000);
    expect((await stat(fileIn(directory))).size).toBeLessThanOrEqual(maxBytes);
    await log.close();
    expect((await stat(fileIn(directory))).size).toBeLessThanOrEqual(maxBytes);
  });

  it("takes events of a megabyte one by one, and not many more than it must", async () => {
    const bytes = 20_000_000;
    const log = await open({ retention: { bytes } });
    const data = JSON.stringify("x".repeat(1_000_000));
    for (let batch = 0; batch < 40; batch += 1) await log.append([{ ...event(), data }]);
    const { takenThrough } = await log.read({ after: log.head - 1 });
    expect(40 - takenThrough).toBeGreaterThanOrEqual(18);
    expect(40 - takenThrough).toBeLessThanOrEqual(21);
  });

  it("does not let `latest` events, which stay, keep it busy", async () => {
    const log = await open({ retention: { bytes: 1 } });
    const positions = Array.from({ length: 2_000 }, (_, index) => ({
      ...event(),
      key: `k${index}`,
      keep: "latest" as const,
    }));
    await log.append(positions);
    await log.append(events(2));
    await untilTaken(log, 2_002);
    const cpu = process.cpuUsage();
    await pause(300);
    const { user, system } = process.cpuUsage(cpu);
    expect((user + system) / 1_000).toBeLessThan(150);
    expect((await log.read({ after: 0, limit: 10_000 })).events).toHaveLength(2_000);
  });

  it("is closed without waiting for the rest of the retention, which goes on when it is opened again", async () => {
    const log = await open();
    for (let batch = 0; batch < 5; batch += 1) await log.append(events(10_000));
    await log.close();
    const aging = await open({ retention: { ageMs: 1_000 } });
    await aging.close();
    const stopped = await open();
    const { takenThrough } = await stopped.read({ after: 0 });
    expect(takenThrough).toBeLessThan(50_000);
    await stopped.close();
    const again = await open({ retention: { ageMs: 1_000 } });
    await untilTaken(again, 50_000);
  });

  it("warns once of a retention that fails, appends all the same, and takes up when it can", async () => {
    const log = await open({ retention: { ageMs: 60_000 } });
    tamper(directory, "CREATE TRIGGER stuck BEFORE DELETE ON events BEGIN SELECT raise(FAIL, 'stuck'); END");
    using warnings = heardWarnings();
    for (let offset = 1; offset < 3 || warnings.texts.length === 0; offset += 1) {
      expect(await log.append([event()])).toEqual([{ offset, duplicate: false }]);
    }
    // Tried again every second, without another word.
    await pause(1_500);
    tamper(directory, "DROP TRIGGER stuck");
    await untilTaken(log, log.head);
    expect(warnings.texts).toEqual([expect.stringContaining("stuck")]);
  });

  it("leaves a file that is larger than its bound as large as it is, and appends where retention has made room", async () => {
    const log = await open();
    await log.append(events(20_000));
    await log.close();
    const { size } = await stat(fileIn(directory));
    const full = await open({ maxBytes: 1_000_000 });
    await expect(full.append(events(100))).rejects.toMatchObject({
      code: "LOG_FULL",
      message: expect.stringContaining(fileIn(directory)),
    });
    await full.close();
    const roomy = await open({ maxBytes: 1_000_000, retention: { ageMs: 1_000 } });
    await untilTaken(roomy, 20_000);
    await roomy.append(events(100));
    await roomy.close();
    expect((await stat(fileIn(directory))).size).toBeLessThanOrEqual(size);
  });
});
