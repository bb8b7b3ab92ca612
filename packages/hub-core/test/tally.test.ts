import { Tally } from "../src/tally.ts";

describe("a tally", () => {
  it("counts what there is of each name, and of each that is gone once", () => {
    const tally = new Tally();
    const [leave] = [tally.add("a"), tally.add("a"), tally.add("b")];
    leave?.();
    leave?.();
    expect([tally.of("a"), tally.of("b"), tally.of("c")]).toEqual([1, 1, 0]);
  });

  it("keeps nothing of a name that has none, however many there were", () => {
    const tally = new Tally();
    for (let n = 0; n < 1_000; n += 1) tally.add(`${n}`)();
    expect(tally.size).toBe(0);
  });
});
