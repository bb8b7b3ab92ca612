import fc from "fast-check";
import {
  type ClaimInput,
  type ClaimState,
  derivedId,
  isHeld,
  leaseFrom,
  nextLookMs,
  renewed,
  stepClaim,
} from "../src/claim.ts";

const after = (...inputs: ClaimInput[]): ClaimState => inputs.reduce(stepClaim, "running" as ClaimState);

describe("a claim", () => {
  it.each<[string, ClaimInput[], ClaimState]>([
    ["runs from the start", [], "running"],
    ["is settled when the hub has accepted a settle", ["settle", "accepted"], "settled"],
    ["runs on when its settle was refused", ["settle", "refused"], "running"],
    ["is lost when the hub lists it", ["reported"], "lost"],
    ["is lost when its lease is over", ["over"], "lost"],
    ["waits for the answer to its settle, whatever the hub lists", ["settle", "reported"], "settling"],
    ["is settled by that answer", ["settle", "reported", "accepted"], "settled"],
    ["is lost by that answer", ["settle", "reported", "over"], "lost"],
    ["is lost when its lease is over before that answer", ["settle", "over", "accepted"], "lost"],
    ["is not lost any more when it is settled", ["settle", "accepted", "reported", "over"], "settled"],
  ])("%s", (_promise, inputs, state) => expect(after(...inputs)).toBe(state));

  it("that is settled or lost stays so, and is not held", () => {
    const input = fc.constantFrom<ClaimInput>("settle", "accepted", "refused", "reported", "over");
    fc.assert(
      fc.property(fc.array(input), input, (inputs, next) => {
        const state = after(...inputs);
        if (!isHeld(state)) expect(stepClaim(state, next)).toBe(state);
        expect(isHeld(state)).toBe(state === "running" || state === "settling");
      }),
    );
  });
});

describe("a lease", () => {
  it("counts from the claim's arrival, then from when the newest renewal was sent", () => {
    const lease = leaseFrom(1_000, 300);
    expect(lease).toEqual({ leaseMs: 300, untilMs: 1_300 });
    expect(renewed(lease, 1_100).untilMs).toBe(1_400);
    expect(renewed(renewed(lease, 1_200), 1_100).untilMs).toBe(1_500); // answers may come in any order
  });

  it("is looked at after a third of the shortest, and when the first is over", () => {
    const long = leaseFrom(0, 3_000);
    expect(nextLookMs([long, leaseFrom(0, 300)], 50)).toBe(150);
    expect(nextLookMs([long, leaseFrom(0, 300)], 250)).toBe(300);
    expect(nextLookMs([], 0)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("the id of an event said under a claim", () => {
  it("is the same in every attempt, and has a number from the second of its name on", () => {
    expect(derivedId("drivers", 42, "delivered", 1)).toBe("drivers:42:delivered");
    expect(derivedId("drivers", 42, "delivered", 3)).toBe("drivers:42:delivered:3");
  });

  it("is refused where it is too long for the hub", () => {
    const [group, event] = ["g".repeat(64), "e".repeat(60)];
    expect(derivedId(group, 42, event, 1)).toHaveLength(128);
    expect(() => derivedId(group, 421, event, 1)).toThrow(expect.objectContaining({ code: "ID_INVALID" }));
  });
});
