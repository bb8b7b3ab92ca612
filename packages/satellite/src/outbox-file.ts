import { appendFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
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
 * and lock are there only while something waits, so a process may have thousands of outboxes.
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

  /** Two processes would send each other's events, and lose some when one writes the file anew. */
  async #lock(): Promise<void> {
    for (;;) {
      try {
        await writeFile(this.#lockFile, String(process.pid), { flag: "wx" });
        this.#isLocked = true;
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const holder = Number(await readFile(this.#lockFile, "utf8").catch(() => ""));
      if (isAlive(holder)) {
        throw new OrreryError("OUTBOX_LOCKED", { detail: `${this.#file}, by process ${holder}.` });
      }
      await rm(this.#lockFile, { force: true });
    }
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

/** A number that is no process any more, or is this one itself after a restart in a container. */
function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
