import fc from "fast-check";
import { type PresenceInput, type PresenceState, stepPresence } from "../src/presence-rules.ts";

const graceMs = 1_000;

/** What is told of a satellite, one after the other, by what happens to its connections at which time. */
function told(...happened: readonly (readonly [atMs: number, input: PresenceInput])[]) {
  let state: PresenceState = { kind: "away" };
  return happened.flatMap(([atMs, input]) => {
    const [after, news] = stepPresence(state, input, atMs, graceMs);
    state = after;
    return news === undefined ? [] : [`${news} at ${atMs}`];
  });
}

describe("a satellite", () => {
  it("came with its first connection, and went when it had none for the whole grace", () => {
    const life = [
      [0, "connected"],
      [500, "lost"],
      [1_499, "passed"],
      [1_500, "passed"],
      [9_000, "passed"],
      [9_100, "connected"],
    ] as const;
    expect(told(...life)).toEqual(["came at 0", "went at 1500", "came at 9100"]);
  });

  it("that is back within the grace was never away", () => {
    const flapping = [
      [0, "connected"],
      [10, "lost"],
      [1_009, "connected"],
      [1_010, "passed"],
      [1_020, "lost"],
      [2_019, "passed"],
    ] as const;
    expect(told(...flapping)).toEqual(["came at 0"]);
  });

  it("is one with several connections, and is there until the last of them is lost", () => {
    const three = [
      [0, "connected"],
      [1, "connected"],
      [2, "connected"],
      [3, "lost"],
      [4, "lost"],
      [5_000, "passed"],
      [6_000, "lost"],
      [7_000, "passed"],
    ] as const;
    expect(told(...three)).toEqual(["came at 0", "went at 7000"]);
  });
});

it("whatever happens, came and went take turns, and say what the connections say, the grace apart", () => {
  const command = fc.oneof(
    fc.constant("connect" as const),
    fc.constant("lose" as const),
    fc.integer({ min: 1, max: graceMs + 100 }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      let state: PresenceState = { kind: "away" };
      let nowMs = 0;
      let connections = 0;
      let lastLostMs = 0;
      let isThere = false;
      const step = (input: PresenceInput) => {
        const [after, news] = stepPresence(state, input, nowMs, graceMs);
        state = after;
        if (news === undefined) return;
        expect(news).toBe(isThere ? "went" : "came");
        isThere = news === "came";
      };
      for (const one of commands) {
        if (one === "connect") {
          connections += 1;
          step("connected");
        } else if (one === "lose") {
          if (connections === 0) continue;
          connections -= 1;
          lastLostMs = nowMs;
          step("lost");
        } else {
          nowMs += one;
          step("passed");
        }
        const isMissed = connections === 0 && isThere;
        expect(isThere || connections === 0).toBe(true);
        if (isMissed) expect(nowMs - lastLostMs).toBeLessThan(graceMs);
        const missed = isMissed ? { kind: "missed", untilMs: lastLostMs + graceMs } : { kind: "away" };
        expect(state).toEqual(connections > 0 ? { kind: "here", connections } : missed);
      }
    }),
  );
});
