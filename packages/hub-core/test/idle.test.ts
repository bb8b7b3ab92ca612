import { whenIdle } from "../src/idle.ts";

/** Keeps the event loop at work for so long, or until it is disposed of. Milliseconds. */
function beBusy(ms: number): Disposable {
  const untilMs = performance.now() + ms;
  const work = () => {
    const turnMs = performance.now() + 2;
    while (performance.now() < turnMs);
    if (performance.now() < untilMs) next = setImmediate(work);
  };
  let next = setImmediate(work);
  return { [Symbol.dispose]: () => clearImmediate(next) };
}

async function tookMs(wait: () => Promise<void>): Promise<number> {
  const beganMs = performance.now();
  await wait();
  return performance.now() - beganMs;
}

it("waits so long where there is nothing to do", async () => {
  expect(await tookMs(() => whenIdle(30))).toBeGreaterThan(25);
});

it("waits until there was nothing to do for so long in all", async () => {
  using _work = beBusy(150);
  const took = await tookMs(() => whenIdle(30));
  expect(took).toBeGreaterThan(150 + 20);
});

it("does not wait for ever", async () => {
  using _work = beBusy(2_000);
  const took = await tookMs(() => whenIdle(30));
  expect(took).toBeGreaterThan(290);
  expect(took).toBeLessThan(1_500);
});
