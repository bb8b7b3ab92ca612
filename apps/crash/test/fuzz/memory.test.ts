import { growthOf, mostGrowth } from "../../src/fuzz/memory.ts";

const of = (count: number, bytesAt: (place: number) => number) =>
  Array.from({ length: count }, (_, place) => ({ atMs: place, bytes: bytesAt(place) }));
const level = 200_000_000;

describe("memory", () => {
  it("is flat where it only swings, and where it grows while the run warms up", () => {
    expect(growthOf(of(400, (place) => level + (place % 7) * 10_000_000))?.isFlat).toBe(true);
    expect(growthOf(of(400, (place) => Math.min(level, place * 5_000_000)))?.isFlat).toBe(true);
  });

  it("is flat where it was high for a moment, in whatever quarter", () => {
    for (const peak of [50, 150, 250, 380]) {
      const isPeak = (place: number) => Math.abs(place - peak) < 10;
      expect(growthOf(of(400, (place) => (isPeak(place) ? level * 4 : level)))?.isFlat).toBe(true);
    }
  });

  it("grows where something is kept, faster than the bound between two quarters", () => {
    const each = (mostGrowth * 2.5) / 400;
    expect(growthOf(of(400, (place) => level + place * each))?.isFlat).toBe(false);
    expect(growthOf(of(400, (place) => level + (place * each) / 4))?.isFlat).toBe(true);
  });

  it("cannot be told of where there was hardly a look", () => {
    expect(growthOf([])).toBeUndefined();
    expect(growthOf(of(10, (place) => level * place))).toBeUndefined();
  });
});
