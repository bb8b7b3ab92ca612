import { Door } from "../src/door.ts";
import { limitsFrom } from "../src/limits.ts";

/** How many of those who ask at once are let in, and the code for the others. */
function knock(door: Door, address: string, times: number, nowMs: number) {
  const refusals = Array.from({ length: times }, () => door.refusal(address, nowMs));
  return { passed: refusals.filter((refusal) => refusal === undefined).length, last: refusals.at(-1) };
}

describe("the door", () => {
  it("lets in as many as there may be, in all and from one address, and others when some are gone", () => {
    const door = new Door(limitsFrom({ connections: 3, connectionsPerAddress: 2 }));
    const leave = door.enter("a");
    door.enter("a");
    expect(door.refusal("a", 0)).toMatchObject({ code: "CONNECTIONS_TOO_MANY", retryable: true });
    expect(door.refusal("b", 0)).toBeUndefined();
    door.enter("b");
    expect(door.refusal("c", 0)?.code).toBe("CONNECTIONS_TOO_MANY");
    leave();
    leave(); // one is gone once
    expect(door.refusal("c", 0)).toBeUndefined();
    door.enter("c");
    expect(door.refusal("a", 0)?.code).toBe("CONNECTIONS_TOO_MANY");
  });

  it("lets a crowd in bit by bit, at its rate, however often each of them knocks", () => {
    const door = new Door(limitsFrom({ handshakesPerSecondPerAddress: 10, handshakesAtOncePerAddress: 5 }));
    expect(knock(door, "a", 1_000, 0)).toMatchObject({
      passed: 5,
      last: { code: "HANDSHAKES_TOO_MANY", retryAfterMs: 100 },
    });
    const passed = Array.from({ length: 100 }, (_, tick) => knock(door, "a", 50, tick * 100).passed);
    expect(passed.reduce((sum, one) => sum + one, 0)).toBe(99);
    expect(knock(door, "b", 5, 9_900).passed).toBe(5);
  });

  it("has one rate for all addresses together, too", () => {
    const door = new Door(limitsFrom({ handshakesPerSecond: 1, handshakesAtOnce: 3 }));
    const codes = ["a", "b", "c", "d"].map((address) => door.refusal(address, 0)?.code);
    expect(codes).toEqual([undefined, undefined, undefined, "HANDSHAKES_TOO_MANY"]);
  });

  it("is shut to an address that was told often enough, but for those that may come in", () => {
    const door = new Door(limitsFrom({ handshakesPerSecondPerAddress: 1, handshakesAtOncePerAddress: 3 }));
    knock(door, "a", 3, 0);
    expect(door.serves("a", 0)).toBe(true);
    knock(door, "a", 100, 0);
    expect([door.serves("a", 0), door.serves("b", 0)]).toEqual([false, true]);
    expect(door.serves("a", 1_000)).toBe(true);
  });

  it("is shut to all addresses when they were told often enough together", () => {
    const door = new Door(limitsFrom({ handshakesPerSecond: 1, handshakesAtOnce: 3 }));
    for (const address of ["a", "b", "c", "d", "e", "f"]) knock(door, address, 1, 0);
    expect(door.serves("g", 0)).toBe(false);
    expect(door.serves("g", 1_000)).toBe(true);
  });

  it.each<[string, object, string[], string]>([
    ["one address", { handshakesPerSecondPerAddress: 1, handshakesAtOncePerAddress: 3 }, ["a"], "b"],
    ["all together", { handshakesPerSecond: 1, handshakesAtOnce: 3 }, ["a", "b", "c"], ""],
  ])("serves four sockets of %s for each handshake that may come", (_whose, limits, addresses, other) => {
    const door = new Door(limitsFrom(limits));
    const open = (nowMs: number) => addresses.filter((address) => door.serves(address, nowMs)).length;
    let served = 0;
    for (let time = 0; time < 100; time += 1) served += open(0);
    expect(served).toBe(12);
    expect(open(1_000)).toBeGreaterThan(0);
    if (other !== "") expect(door.serves(other, 0)).toBe(true);
  });
});
