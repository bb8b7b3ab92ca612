import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type DatabaseSyncInstance } from "@photostructure/sqlite";

/** Why a log cannot be opened or appended to. In the threads there is no `OrreryError`: they import relative files only. */
export class Refusal extends Error {
  readonly code: "CONFIG_INVALID" | "LOG_FULL" | "LOG_LOCKED" | "LOG_NEWER";

  constructor(code: Refusal["code"], detail: string) {
    super(detail);
    this.code = code;
  }
}

/** "Orry": tells a log from another program's database. */
const applicationId = 0x4f727279;

/** Raised with every change that an older version could not read or would damage. */
const schemaVersion = 3;

// Of all events it would take 10 µs for each one appended: keys come in no order.
const causedIndex = "CREATE INDEX caused ON events (contract, key, offset) WHERE cause IS NOT NULL;";

/** What no two events have alike. */
export const idColumns = "contract, id, coalesce(id_scope, source)";

const eventsTable = `
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
    cause TEXT,
    id_scope TEXT
  ) STRICT;
  CREATE UNIQUE INDEX ids ON events (${idColumns});
  CREATE INDEX latest ON events (contract, event, key) WHERE latest = 1;
  ${causedIndex}
`;

const schema = `
  CREATE TABLE settings (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
  ${eventsTable}
  CREATE TABLE records (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};
`;

/** From each version to the next. */
const upgrades: Readonly<Record<number, string>> = {
  1: `ALTER TABLE events ADD COLUMN cause TEXT; ${causedIndex}`,
  // A constraint goes with its table only. What was said under a claim counts as its source's: said again after the upgrade, by
  // the next attempt or since its receipt was lost, it is a second event.
  2: `
    ALTER TABLE events RENAME TO former;
    DROP INDEX latest;
    DROP INDEX caused;
    ${eventsTable}
    INSERT INTO events SELECT *, NULL FROM former ORDER BY offset;
    DROP TABLE former;
  `,
};

const result = { PERM: 3, BUSY: 5, READONLY: 8, FULL: 13, CANTOPEN: 14, NOTADB: 26 };

/** SQLite's result codes that tell of a wrong path or a wrong file, not of a failing disk. */
const wrongFile = new Set([result.PERM, result.READONLY, result.CANTOPEN, result.NOTADB]);

/** How long to wait where somebody looks into the file with a tool of his own. */
const busyMs = 5_000;

export interface OpenFile {
  readonly db: DatabaseSyncInstance;
  readonly close: () => void;
}

/** SQLite's own largest `max_page_count`. */
const mostPages = 4_294_967_294;

/**
 * The file as its only writer, created where it is not there. It grows to `maxBytes` at most, or not at all where it is
 * larger already. Fails with a `Refusal`.
 */
export function openForWriting(file: string, maxBytes = Infinity): OpenFile {
  const opened: DatabaseSyncInstance[] = [];
  const close = () => {
    for (const one of opened.splice(0)) one.close();
  };
  try {
    mkdirSync(dirname(file), { recursive: true });
    const db = new DatabaseSync(file, { timeout: busyMs });
    opened.push(db);
    const lock = new DatabaseSync(`${db.location()}.lock`);
    opened.push(lock);
    hold(lock, file);
    const version = inspect(file);
    // FULL: a transaction is on the disk, not only with the operating system, when COMMIT returns.
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    if (version === "new") create(db);
    else upgrade(db, version);
    const pages = Math.floor(maxBytes / db.prepare("PRAGMA page_size").get().page_size);
    db.exec(`PRAGMA max_page_count = ${Math.min(Math.max(pages, 1), mostPages)}`);
    return { db, close };
  } catch (error) {
    close();
    if (isFull(error)) throw new Refusal("LOG_FULL", `${file}: ${error.message}.`);
    throw isWrongFile(error) ? new Refusal("CONFIG_INVALID", `${file}: ${error.message}.`) : error;
  }
}

export function openForReading(file: string): OpenFile {
  const db = new DatabaseSync(file, { readOnly: true, timeout: busyMs });
  return { db, close: () => db.close() };
}

/**
 * WAL lets several processes write by turns, so the log's one owner is whoever has a transaction open in an empty
 * database beside it: a lock of the operating system, gone with the process however it ends.
 */
function hold(lock: DatabaseSyncInstance, file: string): void {
  try {
    // MEMORY: without a journal beside it, for which a full disk may have no room.
    lock.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    throw resultOf(error) === result.BUSY ? new Refusal("LOG_LOCKED", file) : error;
  }
}

/**
 * Through a connection that cannot write: even closing another one may move what a crash left behind. The row comes
 * through a function, since a prepared statement keeps its connection open for as long as the thread lives.
 */
function inspect(file: string): "new" | number {
  const db = new DatabaseSync(file, { readOnly: true, timeout: busyMs });
  const found = { application: 0, version: 0, tables: 0 };
  try {
    db.function("found", (application: number, version: number, tables: number) => {
      Object.assign(found, { application, version, tables });
      return null;
    });
    db.exec(
      `SELECT found(application_id, user_version, (SELECT count(*) FROM sqlite_schema))
       FROM pragma_application_id, pragma_user_version`,
    );
  } finally {
    db.close();
  }
  if (found.application === 0 && found.tables === 0) return "new";
  if (found.application !== applicationId) {
    throw new Refusal("CONFIG_INVALID", `${file}: file is not an Orrery log.`);
  }
  if (found.version > schemaVersion) throw new Refusal("LOG_NEWER", file);
  return found.version;
}

function upgrade(db: DatabaseSyncInstance, from: number): void {
  for (let version = from; version < schemaVersion; version += 1) {
    db.exec(`BEGIN IMMEDIATE; ${upgrades[version]} PRAGMA user_version = ${version + 1}; COMMIT`);
  }
}

function create(db: DatabaseSyncInstance): void {
  db.exec(`BEGIN IMMEDIATE; ${schema}`);
  const set = db.prepare("INSERT INTO settings VALUES (?, ?)");
  set.run("epoch", randomBytes(12).toString("base64url"));
  for (const name of ["head", "takenThrough", "takenTimeMs"]) set.run(name, 0);
  db.exec("COMMIT");
}

/** Whether the file has come to its `maxBytes`, or the disk to its end. */
export function isFull(error: unknown): error is Error {
  return resultOf(error) === result.FULL;
}

function isWrongFile(error: unknown): error is Error {
  const code = resultOf(error);
  return error instanceof Error && ("errno" in error || (code !== undefined && wrongFile.has(code)));
}

function resultOf(error: unknown): number | undefined {
  return error instanceof Error && "errcode" in error ? Number(error.errcode) & 0xff : undefined;
}
