import { choose, type Due, type Held } from "../src/sqlite-retention.ts";

const nothing: Due = { olderThanMs: 0, excessBytes: 0, mostBytes: 1_000 };

/** Events of 100 bytes at offsets 1, 2, 3 …, each at the time given; an `l` in front makes it a `latest` one. */
function held(...times: readonly (number | `l${number}`)[]): Held[] {
  return times.map((time, index) => ({
    offset: index + 1,
    timeMs: Number(String(time).replace("l", "")),
    latest: typeof time === "string" ? 1 : 0,
    bytes: 100,
  }));
}

/** `[looked, taken]`, as offsets. */
function chosen(events: readonly Held[], due: Partial<Due>): (number | undefined)[] {
  const { looked, taken } = choose(events, { ...nothing, ...due });
  return [looked?.offset, taken?.offset];
}

it("takes nothing where nothing is due", () => {
  expect(chosen(held(1, 2), {})).toEqual([undefined, undefined]);
  expect(chosen([], { olderThanMs: 9, excessBytes: 9 })).toEqual([undefined, undefined]);
});

it("takes events in order while they are older", () => {
  expect(chosen(held(1, 2, 3, 4), { olderThanMs: 3 })).toEqual([2, 2]);
  // One from a clock that ran ahead keeps those behind it.
  expect(chosen(held(1, 9, 1), { olderThanMs: 3 })).toEqual([1, 1]);
});

it("takes as many as the log is too large by, and not one more", () => {
  expect(chosen(held(1, 2, 3, 4), { excessBytes: 1 })).toEqual([1, 1]);
  expect(chosen(held(1, 2, 3, 4), { excessBytes: 200 })).toEqual([2, 2]);
  expect(chosen(held(1, 2, 3, 4), { excessBytes: 201 })).toEqual([3, 3]);
});

it("takes by whichever of the two asks for more", () => {
  expect(chosen(held(1, 2, 3, 4), { olderThanMs: 2, excessBytes: 300 })).toEqual([3, 3]);
  expect(chosen(held(1, 2, 3, 4), { olderThanMs: 4, excessBytes: 100 })).toEqual([3, 3]);
});

it("passes over `latest` events, which count for nothing", () => {
  expect(chosen(held("l1", 2, "l3", "l4", 5, "l6"), { excessBytes: 150 })).toEqual([5, 5]);
  expect(chosen(held(1, "l2", "l3"), { olderThanMs: 9 })).toEqual([3, 1]);
  expect(chosen(held("l1", "l2"), { excessBytes: 100 })).toEqual([2, undefined]);
});

it("ends a step where it gets large, but not before its first event", () => {
  expect(chosen(held(1, 2, 3, 4), { olderThanMs: 9, mostBytes: 200 })).toEqual([2, 2]);
  expect(chosen(held(1, 2, 3, 4), { excessBytes: 400, mostBytes: 1 })).toEqual([1, 1]);
});
