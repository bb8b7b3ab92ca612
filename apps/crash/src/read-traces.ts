import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** The files of a satellite's directory that have this ending, by lives. */
export async function readTraces<Line>(directory: string, ending: string) {
  const names = (await readdir(directory)).filter((name) => name.endsWith(`.${ending}`));
  const traces = names.map(async (name) => {
    const text = await readFile(join(directory, name), "utf8");
    return { life: Number.parseInt(name, 10), lines: linesOf<Line>(text) };
  });
  return (await Promise.all(traces)).sort((a, b) => a.life - b.life);
}

/** One by one; not what comes after the last line feed, which a kill has torn. */
function* linesOf<Line>(text: string): Generator<Line, void> {
  for (let start = 0, end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
    yield JSON.parse(text.slice(start, end));
    start = end + 1;
  }
}
