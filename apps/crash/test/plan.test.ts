import { planOf } from "../src/plan.ts";

const names = ["a", "b", "c", "d"];

it("plans the same for the same seed, and something else for another", () => {
  expect(planOf(7, 20, names)).toEqual(planOf(7, 20, names));
  expect(planOf(7, 20, names)).not.toEqual(planOf(8, 20, names));
  // A longer run begins like a shorter one.
  expect(planOf(7, 20, names).slice(0, 5)).toEqual(planOf(7, 5, names));
});

it("kills the hub in every round, now and then while it starts, and every satellite at some time", () => {
  const plan = planOf(1, 100, names);
  expect(plan).toHaveLength(100);
  const starting = plan.filter(({ when }) => when === "starting").length;
  expect(starting).toBeGreaterThan(5);
  expect(starting).toBeLessThan(50);
  const killed = plan.flatMap(({ satellites }) => satellites.map(({ name }) => name));
  expect(new Set(killed)).toEqual(new Set(names));
  for (const { hubAfterMs, satellites } of plan) {
    for (const afterMs of [hubAfterMs, ...satellites.map((one) => one.afterMs)]) {
      expect(afterMs).toBeGreaterThanOrEqual(0);
      expect(afterMs).toBeLessThan(4_000);
    }
  }
});
