import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { type Cursor, OrreryError } from "@orrery/contracts";
import { type History, readHistory, writeHistory } from "./history.ts";
import { linesFromEnd } from "./lines-from-end.ts";

/** What a file holds when it is opened. */
interface Found {
  /** Where the next line begins. */
  readonly bytes: number;
  readonly epoch?: string;
  readonly cursor?: Cursor;
  readonly isUnknown: boolean;
}

/**
 * Opens the file, makes it where it is not there, and cuts off a last line that is torn. `onFault` hears of a write that
 * failed; nothing is written after it. Rejects with `CONFIG_INVALID`.
 */
export async function openEventFile(path: string, onFault: (error: unknown) => void): Promise<EventFile> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, "a+");
    return new EventFile(path, file, await look(file, await readHistory(historyPath(path))), onFault);
  } catch (cause) {
    const detail = `LOGGER_FILE ${path} cannot be opened: ${(cause as Error).message}`;
    throw new OrreryError("CONFIG_INVALID", { detail, cause });
  }
}

/** Events as lines, in the order of `append`. What arrives while a write is under way is written together after it. */
export class EventFile {
  /** Up to where the file has the events of its log; undefined where it has none. */
  readonly cursor: Cursor | undefined;
  /** The file has lines, and nothing tells which log they are from. */
  readonly isUnknown: boolean;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #onFault: (error: unknown) => void;
  #bytes: number;
  #epoch: string | undefined;
  #waiting: { readonly epoch: string; readonly lines: string[] }[] = [];
  #isWriting = false;
  #written: Promise<void> = Promise.resolve();

  constructor(path: string, file: FileHandle, found: Found, onFault: (error: unknown) => void) {
    this.#path = path;
    this.#file = file;
    this.#onFault = onFault;
    this.#bytes = found.bytes;
    this.#epoch = found.epoch;
    this.cursor = found.cursor;
    this.isUnknown = found.isUnknown;
  }

  /** `epoch`: of the log that the event is from. */
  append(line: string, epoch: string): void {
    const last = this.#waiting.at(-1);
    if (last?.epoch === epoch) last.lines.push(`${line}\n`);
    else this.#waiting.push({ epoch, lines: [`${line}\n`] });
    if (this.#isWriting) return;
    this.#isWriting = true; // and stays so after a fault: a line may be torn
    this.#written = this.#write().catch((cause) => {
      this.#onFault(new Error(`${this.#path} cannot be written, so the logger ends`, { cause }));
    });
  }

  /** Resolves when everything appended is written. */
  async close(): Promise<void> {
    await this.#written;
    await this.#file.close();
  }

  async #write(): Promise<void> {
    await Promise.resolve(); // the rest of this turn's events
    while (this.#waiting.length > 0) {
      for (const { epoch, lines } of this.#waiting.splice(0)) {
        if (epoch !== this.#epoch) await this.#begin(epoch);
        const bytes = Buffer.from(lines.join(""));
        await this.#file.appendFile(bytes);
        this.#bytes += bytes.length;
      }
    }
    this.#isWriting = false;
  }

  async #begin(epoch: string): Promise<void> {
    await writeHistory(historyPath(this.#path), { epoch, fromByte: this.#bytes });
    this.#epoch = epoch;
  }
}

const historyPath = (path: string): string => `${path}.epoch`;

async function look(file: FileHandle, history: History | undefined): Promise<Found> {
  const { size } = await file.stat();
  if (size === 0) return { bytes: 0, isUnknown: false };
  const isKnown = history !== undefined && history.fromByte <= size;
  const lines = linesFromEnd(file, isKnown ? history.fromByte : 0, size);
  const torn = (await lines.next()).value?.length ?? 0;
  if (!isKnown) {
    // Maybe no file of ours: nothing is cut off, but lines begin on a line of their own.
    if (torn > 0) await file.appendFile("\n");
    return { bytes: torn > 0 ? size + 1 : size, isUnknown: true };
  }
  if (torn > 0) await file.truncate(size - torn);
  const { epoch } = history;
  return { bytes: size - torn, epoch, cursor: `${epoch}:${await lastOffset(lines)}`, isUnknown: false };
}

/** Of the last line that has one: events that are not kept have none. 0 where there is no such line. */
async function lastOffset(lines: AsyncIterable<Buffer>): Promise<number> {
  for await (const line of lines) {
    const offset = offsetOf(line);
    if (offset !== undefined) return offset;
  }
  return 0;
}

function offsetOf(line: Buffer): number | undefined {
  try {
    const { offset } = JSON.parse(line.toString()).meta;
    return Number.isSafeInteger(offset) ? offset : undefined;
  } catch {
    return undefined; // not of our writing
  }
}
