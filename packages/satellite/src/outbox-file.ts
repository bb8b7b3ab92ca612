import { randomUUID } from "node:crypto";
import { appendFile, link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { performance } from "node:perf_hooks";
import { OrreryError } from "@orrery/contracts";
import type { OutboxOptions, OutboxStore, StoredEntry } from "./outbox-store.ts";

/** A line of the file: an entry that was put, or the ids of some that were removed. */
type Line = StoredEntry | { readonly removed: readonly string[] };

/** The file is written anew when it is longer than this and less than half of its entries still wait. Bytes. */
const compactBytes = 1_048_576;

/** Node's outbox: a file of JSON lines that is appended to, and written anew when most of it is over. */
export function openOutboxStore(options: OutboxOptions): OutboxStore {
  if (!("file" in options)) {
    throw new OrreryError("CONFIG_INVALID", { detail: "In Node an outbox is kept in a `file`." });
  }
  return new FileStore(options.file);
}

/**
 * A process that is killed loses nothing that it has written: the lines are the operating system's by then. They are not
 * synced, so a machine that loses power may lose the newest of them; events have no receipt until the hub has them. File
 * and lock are there only while something waits, so a process may have thousands of outboxes. The file system has hard
 * links, as all but a few for memory cards have.
 */
class FileStore implements OutboxStore {
  readonly #file: string;
  readonly #waiting = new Map<string, StoredEntry>();
  #isLocked = false;
  #bytes = 0;
  #put = 0;
  /** One write after the other. */
  #last: Promise<void> = Promise.resolve();

  constructor(file: string) {
    this.#file = file;
  }

  async open(): Promise<readonly StoredEntry[]> {
    await mkdir(dirname(this.#file), { recursive: true });
    if ((await this.#text()) === "") return [];
    await this.#lock();
    if (this.#waiting.size === 0) await this.#unlock();
    return [...this.#waiting.values()];
  }

  put(entries: readonly StoredEntry[]): Promise<void> {
    return this.#append(entries);
  }

  remove(ids: readonly string[]): Promise<void> {
    return this.#append([{ removed: ids }]);
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.#unlock();
  }

  #append(lines: readonly Line[]): Promise<void> {
    const write = async () => {
      if (!this.#isLocked) {
        if (lines.every((line) => "removed" in line)) return; // what was never put
        await this.#lock();
      }
      for (const line of lines) this.#apply(line);
      const isMostlyOver = this.#bytes > compactBytes && this.#waiting.size * 2 < this.#put;
      if (this.#waiting.size === 0 || isMostlyOver) return this.#compact();
      const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
      await appendFile(this.#file, text);
      this.#bytes += text.length;
    };
    this.#last = this.#last.then(write, write);
    return this.#last;
  }

  #apply(line: Line): void {
    if ("removed" in line) {
      for (const id of line.removed) this.#waiting.delete(id);
    } else {
      this.#waiting.set(line.id, line);
      this.#put += 1;
    }
  }

  /** Writes the file anew with what waits; without it, and without the lock, where nothing does. */
  async #compact(): Promise<void> {
    await this.#rewrite();
    if (this.#waiting.size === 0) await this.#unlock();
  }

  async #rewrite(): Promise<void> {
    const text = [...this.#waiting.values()].map((entry) => `${JSON.stringify(entry)}\n`).join("");
    this.#bytes = text.length;
    this.#put = this.#waiting.size;
    if (text === "") return rm(this.#file, { force: true });
    await writeFile(`${this.#file}.new`, text);
    await rename(`${this.#file}.new`, this.#file);
  }

  async #text(): Promise<string> {
    return readFile(this.#file, "utf8").catch((error) => {
      if (error.code === "ENOENT") return "";
      throw error;
    });
  }

  /** What another process has left in the file. It may have held the lock until just now, and waits on for the next `open`. */
  async #load(): Promise<void> {
    const text = await this.#text();
    if (text === "") return;
    // A process that was killed while it wrote leaves a last line without an end.
    const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
    const whole: Line[] = lines.filter((line) => line !== "").map((line) => JSON.parse(line));
    for (const line of whole) this.#apply(line);
    await this.#rewrite();
  }

  get #lockFile(): string {
    return `${this.#file}.lock`;
  }

  /** Two satellites would send each other's events, and lose some when one writes the file anew. */
  async #lock(): Promise<void> {
    await take(this.#lockFile);
    this.#isLocked = true;
    try {
      await this.#load();
    } catch (error) {
      await this.#unlock(); // nothing is written to a file that cannot be read
      throw error;
    }
  }

  async #unlock(): Promise<void> {
    if (this.#isLocked) await rm(this.#lockFile, { force: true });
    this.#isLocked = false;
  }
}

/** In a container every process has the same number, so it is one with the time at which it was started, in all threads. */
const thisProcess = `${process.pid} ${performance.timeOrigin}`;

/**
 * Creates a lock that says whose it is. Fails with `OUTBOX_LOCKED` where its holder is there. One that is not has left it
 * for ever, and who removes it holds a lock on that: otherwise the second one to do so would remove the first one's new lock.
 */
async function take(lock: string): Promise<void> {
  while (!(await create(lock))) {
    const holder = await holderOf(lock);
    if (holder === undefined) continue; // gone meanwhile
    if (isThere(holder)) {
      throw new OrreryError("OUTBOX_LOCKED", { detail: `${lock}, by process ${pidOf(holder)}.` });
    }
    const removal = `${lock}.removal`;
    await take(removal);
    try {
      if ((await holderOf(lock)) === holder) await rm(lock);
    } finally {
      await rm(removal);
    }
  }
}

/** As a link to what is written already, so that nobody finds a lock that does not say yet whose it is. */
async function create(lock: string): Promise<boolean> {
  const written = `${lock}.${randomUUID()}`;
  await writeFile(written, thisProcess);
  try {
    await link(written, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return false;
  } finally {
    await rm(written, { force: true });
  }
}

async function holderOf(lock: string): Promise<string | undefined> {
  return readFile(lock, "utf8").catch((error) => {
    if (error.code !== "ENOENT") throw error;
    return undefined;
  });
}

const pidOf = (holder: string): number => Number.parseInt(holder, 10);

/** Whether the process is there that wrote this into its lock; a lock without a number is nobody's. */
function isThere(holder: string): boolean {
  const pid = pidOf(holder);
  if (!(pid > 0)) return false;
  if (pid === process.pid) return holder === thisProcess;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
