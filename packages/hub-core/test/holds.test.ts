import type { NewEvent } from "@orrery/event-log";
import { Holds } from "../src/holds.ts";

const said = (...ids: string[]) => ids.map((id) => ({ id }) as NewEvent);

describe("a connection of which something was refused for now", () => {
  /** Holds for 100 ms; `at` sets the clock. */
  const holding = () => {
    let nowMs = 0;
    const holds = new Holds(100, () => nowMs);
    const at = (ms: number) => {
      nowMs = ms;
      return holds;
    };
    return { connection: {}, at };
  };

  it("is refused the same way until that comes again, first in a message", () => {
    const { connection, at } = holding();
    expect(at(0).refusalOf(connection, said("a"))).toBeUndefined();
    at(0).hold(connection, said("a", "b"), "HUB_BUSY");
    expect(at(99).refusalOf(connection, said("c"))).toBe("HUB_BUSY");
    expect(at(99).refusalOf(connection, said("b", "a"))).toBe("HUB_BUSY");
    expect(at(99).refusalOf(connection, said("a", "b", "c"))).toBeUndefined();
    expect(at(99).refusalOf(connection, said("d"))).toBeUndefined();
  });

  it("is refused no longer than it may be held, however much it says", () => {
    const { connection, at } = holding();
    at(1_000).hold(connection, said("a"), "LOG_FULL");
    for (const ms of [1_000, 1_050, 1_099]) expect(at(ms).refusalOf(connection, said("b"))).toBe("LOG_FULL");
    expect(at(1_100).refusalOf(connection, said("c"))).toBeUndefined();
  });

  it("is held for what it said first, when that is refused last", () => {
    const { connection, at } = holding();
    at(0).hold(connection, said("b"), "HUB_BUSY");
    at(50).hold(connection, said("a"), "LOG_FAILED");
    expect(at(149).refusalOf(connection, said("b"))).toBe("LOG_FAILED");
    expect(at(149).refusalOf(connection, said("a"))).toBeUndefined();
  });

  it("is held alone", () => {
    const { connection, at } = holding();
    at(0).hold(connection, said("a"), "HUB_BUSY");
    expect(at(0).refusalOf({}, said("b"))).toBeUndefined();
  });
  it("is told what it is held for: from when it may come again, and no longer than it may be held after that", () => {
    const { connection, at } = holding();
    at(0).hold(connection, said("a"), "RATE_LIMITED", 50);
    expect(at(149).of(connection)).toMatchObject({ id: "a", code: "RATE_LIMITED", againMs: 50 });
    expect(at(149).refusalOf(connection, said("b"))).toBe("RATE_LIMITED");
    expect(at(150).of(connection)).toBeUndefined();
  });

  it("is held no more when what it is held for is refused for good, and nothing else frees it", () => {
    const { connection, at } = holding();
    at(0).hold(connection, said("a"), "HUB_BUSY");
    at(0).release(connection, "b");
    expect(at(0).of(connection)).toMatchObject({ id: "a" });
    at(0).release(connection, "a");
    expect(at(0).refusalOf(connection, said("b"))).toBeUndefined();
  });
});
