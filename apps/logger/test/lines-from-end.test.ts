import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linesFromEnd } from "../src/lines-from-end.ts";

async function linesOf(content: string, startByte = 0): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), "orrery-lines-"));
  const path = join(directory, "lines");
  await writeFile(path, content);
  const file = await open(path);
  const lines: string[] = [];
  for await (const line of linesFromEnd(file, startByte, Buffer.byteLength(content)))
    lines.push(line.toString());
  await file.close();
  await rm(directory, { recursive: true });
  return lines;
}

describe("lines from the end of a file", () => {
  it.each([
    ["", [""]],
    ["a", ["a"]],
    ["a\n", ["", "a"]],
    ["a\nb", ["b", "a"]],
    ["\n\na\n", ["", "a", "", ""]],
  ])("%j", async (content, lines) => {
    expect(await linesOf(content)).toEqual(lines);
  });

  it("are whole where they, and characters in them, reach over what is read at once", async () => {
    const lines = Array.from({ length: 50 }, (_, number) => `${number} ${"é€".repeat(number * 700)}`);
    expect(await linesOf(lines.join("\n"))).toEqual(lines.toReversed());
  });

  it("end at the byte given", async () => {
    expect(await linesOf("old\nnew 1\nnew 2\n", 4)).toEqual(["", "new 2", "new 1"]);
  });
});
