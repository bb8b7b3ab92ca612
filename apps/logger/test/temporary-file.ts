import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Line {
  readonly event: string;
  readonly time: string;
  readonly data: { readonly parcelId: string };
  readonly meta: { readonly offset: number; readonly time: string };
}

/** A path for a logger's file, in a directory of its own. */
export async function temporaryFile() {
  const directory = await mkdtemp(join(tmpdir(), "orrery-logger-"));
  const path = join(directory, "sub", "events.jsonl");
  const text = () => readFile(path, "utf8");
  return {
    directory,
    path,
    text,
    /** Every line, which must be complete. */
    async lines(): Promise<Line[]> {
      const lines = (await text()).split("\n");
      if (lines.pop() !== "") throw new Error("the last line is torn");
      return lines.map((line) => JSON.parse(line) as Line);
    },
    history: async () => JSON.parse(await readFile(`${path}.epoch`, "utf8")) as unknown,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}
