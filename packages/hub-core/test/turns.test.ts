import { setTimeout as sleep } from "node:timers/promises";
import { Turns } from "../src/turns.ts";

/** What a page keeps the hub at work. Milliseconds. */
const workMs = 10;

/** From the beginning of one page to that of the next. Milliseconds. */
async function gapMs(turns: Turns, between: () => void): Promise<number> {
  const begins: number[] = [];
  const send = async () => {
    begins.push(performance.now());
    between();
    while (performance.now() - (begins.at(-1) as number) < workMs);
  };
  for (const _page of ["one", "other"]) await turns.take(async () => undefined, send);
  return (begins[1] as number) - (begins[0] as number);
}

it("while events pass live, a page waits four times as long as the one before it kept the hub at work", async () => {
  const turns = new Turns(20);
  turns.passed();
  // A timer may be a millisecond early.
  expect(await gapMs(turns, () => turns.passed())).toBeGreaterThan(5 * workMs - 1);
});

it("while none do, the next page follows in the next turn of the event loop", async () => {
  const turns = new Turns(20);
  turns.passed();
  await gapMs(turns, () => undefined);
  await sleep(0);
  const gaps: number[] = [];
  for (let time = 0; time < 5; time += 1) gaps.push(await gapMs(turns, () => undefined));
  // The machine may stand still now and then; a rest would be in each of them.
  expect(gaps.toSorted((a, b) => a - b)[2]).toBeLessThan(4 * workMs);
});
