import type { Trace } from "../../src/fuzz/cast.ts";
import { latenciesOf } from "../../src/fuzz/latency.ts";

it("tells the latency before, during and after the attack, by when an event was said", () => {
  const traces = [0, 1, 2, 3, 4, 5].flatMap((serial): Trace[] => [
    { atMs: serial * 100, what: "said", serial },
    { atMs: serial * 100 + serial + 1, what: "heard", serial, offset: serial },
  ]);
  const { before, during, after } = latenciesOf(traces, "heard", { fromMs: 100, untilMs: 400 });
  expect(before).toEqual({ count: 1, p50Ms: 1, p99Ms: 1, mostMs: 1 });
  expect(during).toEqual({ count: 3, p50Ms: 3, p99Ms: 4, mostMs: 4 });
  expect(after).toEqual({ count: 2, p50Ms: 6, p99Ms: 6, mostMs: 6 });
  expect(latenciesOf(traces, "acked", { fromMs: 0, untilMs: 0 }).after.count).toBe(0);
});
