// The file of revocations: a line of JSON each, that `orrery revoke` adds and the hub reads.
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { identityOf } from "@orrery/tokens";
import { z } from "zod";

const Revocation = z.strictObject({
  /** Whose tokens, `vendor:acme`. Missing: everybody's. */
  satellite: z
    .string()
    .refine((text) => identityOf(text) !== undefined)
    .optional(),
  /** Those that were issued before. RFC 3339. */
  issuedBefore: z.iso.datetime({ offset: true }),
});

/** As `hub.revoke` takes it. */
export interface Revocation {
  readonly satellite?: string;
  /** Milliseconds since 1970. */
  readonly issuedBefore: number;
}

/** A line of the file; undefined where it is none. */
export function readRevocation(line: string): Revocation | undefined {
  try {
    const { satellite, issuedBefore } = Revocation.parse(JSON.parse(line));
    return { ...(satellite !== undefined && { satellite }), issuedBefore: Date.parse(issuedBefore) };
  } catch {
    return undefined;
  }
}

/** Adds a line, on disk when it resolves. The file is made where it is missing, with its directory. */
export async function addRevocation(file: string, { satellite, issuedBefore }: Revocation): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await using lines = await open(file, "a+");
  const line = JSON.stringify({ satellite, issuedBefore: new Date(issuedBefore).toISOString() });
  // In one write, so that several processes may add at once and the hub reads no half of it.
  await lines.appendFile(`${(await endsTorn(lines)) ? "\n" : ""}${line}\n`);
  await lines.datasync();
}

/** Whether the last line has no end, as of a process that was killed or an editor. */
async function endsTorn(lines: FileHandle): Promise<boolean> {
  const { size } = await lines.stat();
  if (size === 0) return false;
  const { buffer } = await lines.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer.toString() !== "\n";
}
