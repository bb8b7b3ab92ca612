import type { FileHandle } from "node:fs/promises";

const chunkBytes = 65_536;
const lineFeed = 0x0a;

/**
 * The lines of a file's bytes from `startByte` up to `endByte`, the last one first, without their line feeds. The first
 * is what comes after the last line feed: empty in a file whose lines are all complete. Reads only as far as it is asked.
 */
export async function* linesFromEnd(
  file: FileHandle,
  startByte: number,
  endByte: number,
): AsyncGenerator<Buffer, void> {
  let rest: Buffer = Buffer.alloc(0); // the end of a line whose start is not read yet
  for (let at = endByte; at > startByte; ) {
    const from = Math.max(startByte, at - chunkBytes);
    const bytes = Buffer.concat([await readAll(file, from, at), rest]);
    let end = bytes.length;
    let feed = bytes.lastIndexOf(lineFeed);
    while (feed !== -1) {
      yield bytes.subarray(feed + 1, end);
      end = feed;
      feed = end === 0 ? -1 : bytes.lastIndexOf(lineFeed, end - 1);
    }
    rest = bytes.subarray(0, end);
    at = from;
  }
  yield rest;
}

async function readAll(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const bytes = Buffer.alloc(to - from);
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, from + filled);
    if (bytesRead === 0) throw new Error("the file became shorter while it was read");
    filled += bytesRead;
  }
  return bytes;
}
