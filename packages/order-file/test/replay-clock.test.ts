import { replayClock, speedVariable } from "../src/index.ts";

const dayMs = 86_400_000;
const firstMs = Date.UTC(2017, 6, 1, 10, 13);
const startedAtMs = Date.UTC(2026, 0, 1);

describe("replayClock", () => {
  it("lets a recorded day take as many real seconds as it is told", () => {
    const clock = replayClock({ firstMs, secondsPerDay: 60, startedAtMs });
    expect(clock.dueInMs(firstMs, startedAtMs)).toBe(0);
    expect(clock.dueInMs(firstMs + dayMs / 2, startedAtMs)).toBe(30_000);
    expect(clock.dueInMs(firstMs + 3 * dayMs, startedAtMs)).toBe(180_000);
  });

  it("counts the real time that has passed, and does not go below 0", () => {
    const clock = replayClock({ firstMs, secondsPerDay: 60, startedAtMs });
    expect(clock.dueInMs(firstMs + dayMs, startedAtMs + 45_000)).toBe(15_000);
    expect(clock.dueInMs(firstMs + dayMs, startedAtMs + 60_000)).toBe(0);
    expect(clock.dueInMs(firstMs + dayMs, startedAtMs + 90_000)).toBe(0);
    expect(clock.dueInMs(firstMs - dayMs, startedAtMs)).toBe(0);
  });

  it("keeps the recorded pace at 86,400 seconds a day", () => {
    const clock = replayClock({ firstMs, secondsPerDay: 86_400, startedAtMs });
    expect(clock.dueInMs(firstMs + 123_456_789, startedAtMs)).toBe(123_456_789);
  });

  it("makes everything due at once at 0", () => {
    const clock = replayClock({ firstMs, secondsPerDay: 0, startedAtMs });
    expect(clock.dueInMs(firstMs + 900 * dayMs, startedAtMs)).toBe(0);
  });

  it("gives whole milliseconds, after which the instant is due and not before", () => {
    const clock = replayClock({ firstMs, secondsPerDay: 0.7, startedAtMs });
    for (let recordedMs = firstMs; recordedMs < firstMs + dayMs; recordedMs += 7_654_321) {
      const waitMs = clock.dueInMs(recordedMs, startedAtMs);
      expect(Number.isInteger(waitMs)).toBe(true);
      expect(clock.dueInMs(recordedMs, startedAtMs + waitMs)).toBe(0);
      if (waitMs > 0) expect(clock.dueInMs(recordedMs, startedAtMs + waitMs - 1)).toBe(1);
    }
  });
});

describe("speedVariable", () => {
  it.each([
    ["max", 0],
    ["0", 0],
    ["60", 60],
    ["0.25", 0.25],
  ])("reads %j as %d seconds per recorded day", (text, secondsPerDay) => {
    expect(speedVariable.parse(text)).toBe(secondsPerDay);
  });

  it.each(["", "-1", "fast", "1e3", "0x10", "Infinity", undefined])("refuses %j", (text) => {
    expect(speedVariable.safeParse(text).error?.issues.map(({ message }) => message)).toEqual([
      'expected "max" or the seconds that a recorded day takes, such as 60',
    ]);
  });
});
