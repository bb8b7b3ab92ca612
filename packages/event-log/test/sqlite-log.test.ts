import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { DatabaseSync } from "@photostructure/sqlite";
import { type Appender, type Engine, proveEventLog } from "../src/conformance.ts";
import { type EventLog, type NewEvent, openSqliteLog, type Page } from "../src/index.ts";

const fileIn = (directory: string) => join(directory, "events.db");

function event(): NewEvent {
  const [contract, name, source] = ["parcels", "pickup", "vendor:acme"];
  return { contract, id: randomUUID(), event: name, rooms: [], source, timeMs: 1, data: "{}", keep: "log" };
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
  open: (directory) => openSqliteLog({ file: fileIn(directory) }),
  appendElsewhere,
  makeNewer: async (directory) => tamper(directory, "PRAGMA user_version = 2"),
  contents: (directory) => readFile(fileIn(directory)),
};

describe("EventLog, kept by SQLite:", () => {
  proveEventLog(engine, it);
});

describe("The SQLite engine", () => {
  let directory = "";
  let opened: EventLog[] = [];
  const open = async (file = fileIn(directory)) => {
    const log = await openSqliteLog({ file });
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
    await open(join(directory, "a", "b", "events.db"));
    expect(await readdir(join(directory, "a", "b"))).toContain("events.db");
  });

  it("leaves one file with everything in it when it is closed", async () => {
    const log = await open();
    await log.append([event()]);
    await log.close();
    expect((await readdir(directory)).sort()).toEqual(["events.db", "events.db.lock"]);
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
    await expect(open(file)).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining(file),
    });
  });

  it("finds the lock through a symbolic link", async () => {
    await open();
    const link = join(directory, "link.db");
    await symlink(fileIn(directory), link);
    await expect(open(link)).rejects.toMatchObject({ code: "LOG_LOCKED" });
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
});
