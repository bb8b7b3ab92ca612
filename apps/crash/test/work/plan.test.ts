import { longSize, processesOf, shortSize } from "../../src/work/cast.ts";
import { planOf } from "../../src/work/plan.ts";

it("plans the same for the same seed, and something else for another", () => {
  expect(planOf(7, longSize)).toEqual(planOf(7, longSize));
  expect(planOf(7, longSize)).not.toEqual(planOf(8, longSize));
});

it("stops and kills drivers and the hub in each six faults, so in the shortest run too", () => {
  for (const seed of [1, 2, 3]) {
    const kinds = planOf(seed, shortSize).map(
      ({ kind, name }) => `${kind} ${name === "hub" ? "hub" : "drivers"}`,
    );
    expect(kinds.sort()).toEqual([
      "kill drivers",
      "kill drivers",
      "kill hub",
      "stop drivers",
      "stop drivers",
      "stop hub",
    ]);
  }
});

it("hits every process, and leaves at least half of the drivers alone at any time", () => {
  const plan = planOf(1, longSize);
  expect(new Set(plan.map(({ name }) => name))).toEqual(new Set(["hub", ...processesOf(longSize.processes)]));
  for (const { atMs, name } of plan) {
    const down = plan.filter((one) => one.atMs <= atMs && atMs < one.atMs + one.forMs);
    expect(down.filter((one) => one.name !== "hub").length).toBeLessThanOrEqual(longSize.processes / 2);
    expect(down.filter((one) => one.name === name)).toHaveLength(
      down.some((one) => one.name === name) ? 1 : 0,
    );
  }
});
