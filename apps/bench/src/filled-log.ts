import type { Arena } from "./arena.ts";
import type { FillerAnswers } from "./programs/filler.ts";

/** What one question to the filler may append: it has a minute for each. */
const portion = 500_000;

/** Fills a log, new or not, until it has so many events, and lets it go. */
export async function fill(arena: Arena, directory: string, events: number, followers = 0): Promise<void> {
  const filler = await arena.start<FillerAnswers>("filler", [directory]);
  for (let filled = 0; filled < events; ) {
    filled = Math.min(filled + portion, events);
    await filler.ask("fill", filled);
  }
  if (followers > 0) await filler.ask("follow", followers);
  await filler.ask("close");
  await filler[Symbol.asyncDispose]();
}
