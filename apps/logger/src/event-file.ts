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
  /** Of the last line, within the epoch; 0 where it has none. */
  readonly offset: number;
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

/** Events as lines, in the order of `append`. */
export class EventFile {
  /** The file has lines, and nothing tells which log they are from. */
  readonly isUnknown: boolean;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #onFault: (error: unknown) => void;
  #bytes: number;
  #epoch: string | undefined;
  #offset: number;
  /** One write after the other. */
  #written = Promise.resolve(false);

  constructor(path: string, file: FileHandle, found: Found, onFault: (error: unknown) => void) {
    this.#path = path;
    this.#file = file;
    this.#onFault = onFault;
    this.#bytes = found.bytes;
    this.#epoch = found.epoch;
    this.#offset = found.offset;
    this.isUnknown = found.isUnknown;
  }

  /** Up to where the file has the events of its log; undefined where it has none. */
  get cursor(): Cursor | undefined {
    return this.#epoch === undefined ? undefined : `${this.#epoch}:${this.#offset}`;
  }

  /**
   * Writes the event's line, unless the file has it, or a later one, already: resolves with whether it did, when the file
   * has it; never, once a write has failed. `epoch`: of the log that the event is from.
   */
  append(line: string, epoch: string, offset: number): Promise<boolean> {
    const write = async () => {
      if (epoch !== this.#epoch) await this.#begin(epoch);
      if (offset <= this.#offset) return false;
      const bytes = Buffer.from(`${line}\n`);
      await this.#file.appendFile(bytes);
      this.#bytes += bytes.length;
      this.#offset = offset;
      return true;
    };
    this.#written = this.#written.then(write).catch((cause) => {
      this.#onFault(new Error(`${this.#path} cannot be written, so the logger ends`, { cause }));
      return new Promise<never>(() => undefined); // a line may be torn: nothing comes after it, and nothing is called written
    });
    return this.#written;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #begin(epoch: string): Promise<void> {
    await writeHistory(historyPath(this.#path), { epoch, fromByte: this.#bytes });
    this.#epoch = epoch;
    this.#offset = 0;
  }
}

const historyPath = (path: string): string => `${path}.epoch`;

async function look(file: FileHandle, history: History | undefined): Promise<Found> {
  const { size } = await file.stat();
  if (size === 0) return { bytes: 0, offset: 0, isUnknown: false };
  const isKnown = history !== undefined && history.fromByte <= size;
  const lines = linesFromEnd(file, isKnown ? history.fromByte : 0, size);
  const torn = (await lines.next()).value?.length ?? 0;
  if (!isKnown) {
    // Maybe no file of ours: nothing is cut off, but lines begin on a line of their own.
    if (torn > 0) await file.appendFile("\n");
    return { bytes: torn > 0 ? size + 1 : size, offset: 0, isUnknown: true };
  }
  if (torn > 0) await file.truncate(size - torn);
  const { epoch } = history;
  return { bytes: size - torn, epoch, offset: await lastOffset(lines), isUnknown: false };
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
