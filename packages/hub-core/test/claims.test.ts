import type { Outcome } from "@orrery/contracts";
import type { LeftBehind } from "../src/claim-behind.ts";
import type { ClaimRules } from "../src/claim-outcome.ts";
import { type ClaimRecord, claimFrom, claimText } from "../src/claim-record.ts";
import { Claims, type HandOver, mostExpired, mostGiven } from "../src/claims.ts";

const rules: ClaimRules = { attempts: 3, backoffMs: 1_000, graceMs: 500 };
const leaseMs = 10_000;

interface Kept {
  readonly position: number;
  readonly token: number;
  readonly records: readonly ClaimRecord[];
  readonly behind?: readonly LeftBehind[];
}

/** A table of which everything is on disk at once, unless a test says otherwise. The connection of `d1` is `d1`. */
function group(kept: Kept = { position: 0, token: 0, records: [] }, changes: Partial<ClaimRules> = {}) {
  const claims = new Claims({ ...rules, ...changes }, () => 0.5, kept, kept.records);
  const join = (name: string, capacity: number, nowMs = 0, held: readonly HandOver[] = []) =>
    claims.join({ id: name, satellite: `driver:${name}`, capacity, leaseMs, held }, nowMs);
  const handOver = (nowMs: number) => (claims.handOver(nowMs) ? claims.commitRound(nowMs) : []);
  const settle = (claim: HandOver, outcome: Outcome, nowMs: number, error?: string) => {
    const change = claims.settle(claim.member, { ...claim, outcome, ...(error ? { error } : {}) }, nowMs);
    if (change !== undefined) claims.commit(change);
    return change;
  };
  return { claims, join, handOver, settle };
}

const offsets = (handed: readonly { readonly offset: number }[]) => handed.map(({ offset }) => offset);
const first = (handed: readonly HandOver[]) => handed[0] as HandOver;

describe("an event", () => {
  it("that failed waits twice as long each time, by whatever way it failed, and is dead after the last attempt", () => {
    const { claims, join, handOver, settle } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    settle(first(handOver(0)), "retry", 0);
    expect([claims.nextMs, handOver(999)]).toEqual([1_000, []]);
    expect(handOver(1_000)).toMatchObject([{ attempt: 2 }]);
    expect(claims.expire(11_000)).toMatchObject([{ outcome: "expired", attempt: 2, member: "d1" }]);
    join("d1", 1); // it is there
    expect([claims.nextMs, handOver(12_999)]).toEqual([13_000, []]);
    const last = first(handOver(13_000));
    claims.leave("d1", 13_000);
    expect(claims.expire(13_500)).toMatchObject([{ outcome: "gone", attempt: last.attempt }]);
    const error = "The connection was lost.";
    expect(claims.dead()).toMatchObject([
      { reason: "attempts", attempt: 3, error, by: "driver:d1", timeMs: 13_500 },
    ]);
  });

  it("waits a minute at most, give or take half of it", () => {
    const kept = { position: 1, token: 0, records: [waiting(1, 30)] };
    const { claims, join, handOver, settle } = group(kept, { attempts: 1_000 });
    join("d1", 1);
    settle(first(handOver(0)), "retry", 0);
    expect(claims.nextMs).toBe(60_000);
  });

  it("that a handler will not have is dead at once, with its reason cut to what is kept", () => {
    const { claims, join, handOver, settle } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    settle(first(handOver(0)), "dead", 7, "no such street".padEnd(2_000));
    const [dead] = claims.dead();
    expect(dead).toMatchObject({ reason: "refused", attempt: 1, by: "driver:d1", timeMs: 7 });
    expect(dead?.error).toBe("no such street".padEnd(1_000));
  });

  it("that is given back goes to another at once, and at no cost; when all gave it back, it goes round again later", () => {
    const { claims, join, handOver, settle } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    settle(first(handOver(0)), "back", 0);
    expect(handOver(999)).toEqual([]);
    join("d2", 1);
    const second = first(handOver(999));
    expect(second).toMatchObject({ member: "d2", attempt: 1 });
    settle(second, "back", 999);
    expect(handOver(1_998)).toEqual([]);
    expect(handOver(1_999)).toMatchObject([{ member: "d1", attempt: 1 }]);
  });

  it("that is given back does not keep others from whoever gave it back", () => {
    const { claims, join, handOver, settle } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    settle(first(handOver(0)), "back", 0);
    claims.look(2, "pickup");
    expect(offsets(handOver(1))).toEqual([2]);
  });

  it("that is redriven begins anew, before later ones of its key that wait, and after one that is held", () => {
    const { claims, join, handOver, settle } = group();
    join("d1", 3);
    for (const offset of [1, 2, 3]) claims.look(offset, "pickup", "p-1");
    settle(first(handOver(0)), "dead", 0);
    const held = first(handOver(0));
    expect(held).toMatchObject({ offset: 2, deadBefore: [1] });
    const redriven = claims.redrive(1);
    expect(claims.redrive(1)).toBeUndefined();
    claims.commit(redriven as NonNullable<typeof redriven>);
    expect(handOver(0)).toEqual([]);
    settle(held, "done", 0);
    const again = first(handOver(0));
    expect(again).toMatchObject({ offset: 1, attempt: 1, deadBefore: [] });
    settle(again, "done", 0);
    expect(handOver(0)).toMatchObject([{ offset: 3, deadBefore: [] }]);
  });

  it("names the nearest of many dead ones of its key", () => {
    const dead = Array.from({ length: 250 }, (_, place) => deadAt(2 * place + 1));
    const { claims, join, handOver } = group({ position: 500, token: 0, records: [...dead, waiting(300)] });
    join("d1", 1);
    const { deadBefore } = first(handOver(0));
    expect([deadBefore.length, deadBefore[0], deadBefore.at(-1)]).toEqual([100, 101, 299]);
    for (const { offset } of dead) {
      const dropped = claims.drop(offset);
      if (dropped !== undefined) claims.commit(dropped);
    }
    expect([claims.counts.dead, claims.drop(1)]).toEqual([0, undefined]);
  });
});

describe("a claim", () => {
  it("is nobody's when its lease is over, also before it is taken back", () => {
    const { claims, join, handOver } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    const claim = first(handOver(0));
    expect(claims.isCurrent("d1", claim, 9_999)).toBe(true);
    expect(claims.isCurrent("d1", claim, 10_000)).toBe(false);
    expect(claims.hold("d1", [claim], 10_000)).toEqual([1]);
    expect(claims.settle("d1", { ...claim, outcome: "done" }, 10_000)).toBeUndefined();
  });

  it("lasts from when it was renewed, and its lease begins when it is on disk", () => {
    const { claims, join } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    claims.handOver(0);
    claims.commitRound(300);
    expect(claims.nextMs).toBe(10_300);
    expect(claims.hold("d1", [{ offset: 1, token: 1 }], 4_000)).toEqual([]);
    expect([claims.nextMs, claims.expire(13_999)]).toEqual([14_000, []]);
  });

  it("does not expire while its end is being written, and is held as before where the log refuses that", () => {
    const { claims, join, handOver } = group();
    join("d1", 1);
    claims.look(1, "pickup", "p-1");
    claims.look(2, "pickup", "p-1");
    const claim = first(handOver(0));
    const change = claims.settle("d1", { ...claim, outcome: "done" }, 9_000);
    expect([claims.expire(20_000), handOver(20_000), claims.nextMs]).toEqual([[], [], undefined]);
    expect(claims.isCurrent("d1", claim, 9_001)).toBe(false);
    expect(claims.settle("d1", { ...claim, outcome: "retry" }, 9_001)).toBeUndefined();
    expect(claims.hold("d1", [claim], 20_000)).toEqual([]);
    claims.abort(change as NonNullable<typeof change>);
    expect(claims.isCurrent("d1", claim, 29_999)).toBe(true);
    expect(() => claims.commit(change as NonNullable<typeof change>)).toThrow("not under way");
  });

  it("of a member that left before it was sent goes to another, and has cost no attempt", () => {
    const { claims, join, handOver } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    const round = claims.handOver(0);
    expect([offsets(round?.claims ?? []), claims.handOver(0)]).toEqual([[1], undefined]);
    claims.leave("d1", 1);
    join("d2", 1);
    expect(claims.commitRound(2)).toEqual([]);
    expect(handOver(2)).toMatchObject([{ member: "d2", attempt: 1, token: 2 }]);
  });

  it("that the log refused to write was given to nobody, and its token is not given again", () => {
    const { claims, join, handOver } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    claims.handOver(0);
    claims.abortRound();
    expect(claims.isCurrent("d1", { offset: 1, token: 1 }, 0)).toBe(false);
    expect(handOver(0)).toMatchObject([{ offset: 1, attempt: 1, token: 2 }]);
  });

  it("is kept by a satellite that comes back within the grace, or before the old connection is known to be gone", () => {
    const { claims, join, handOver } = group();
    join("d1", 2);
    claims.look(1, "pickup");
    const claim = first(handOver(0));
    claims.leave("d1", 100);
    const back = { id: "d1 again", satellite: "driver:d1", capacity: 1, leaseMs, held: [claim] };
    expect(claims.join({ ...back, id: "thief", satellite: "driver:d2" }, 599)).toEqual([1]);
    expect(claims.join(back, 599)).toEqual([]);
    expect(claims.join({ ...back, id: "d1 a third time" }, 5_000)).toEqual([]);
    expect(claims.expire(14_999)).toEqual([]);
    expect(claims.isCurrent("d1 again", claim, 5_000)).toBe(false);
    expect(claims.isCurrent("d1 a third time", claim, 14_999)).toBe(true);
  });

  it("survives a restart until its lease is over: nobody counts as gone", () => {
    const before = group();
    before.join("d1", 1);
    before.claims.look(1, "pickup");
    const round = before.claims.handOver(0);
    const kept = { position: 1, token: 1, records: (round?.records ?? []).map(claimText).map(claimFrom) };
    const [away, back] = [group(kept), group(kept)];
    const claim = { offset: 1, token: 1 };
    expect([away.claims.expire(9_999), away.claims.expire(10_000)]).toMatchObject([
      [],
      [{ outcome: "expired" }],
    ]);
    expect(back.claims.isCurrent("d1", claim, 0)).toBe(false);
    expect(back.join("d1", 1, 9_999, [claim as HandOver])).toEqual([]);
    expect(back.claims.isCurrent("d1", claim, 19_998)).toBe(true);
  });
});

describe("members", () => {
  it("are given events in proportion to their capacity, and none beyond it", () => {
    const { claims, join, handOver } = group();
    join("d1", 2);
    join("d2", 4);
    for (let offset = 1; offset <= 9; offset += 1) claims.look(offset, "pickup");
    expect(handOver(0).map(({ member }) => member)).toEqual(["d1", "d2", "d2", "d1", "d2", "d2"]);
    expect(claims.counts).toEqual({ waiting: 3, held: 6, dead: 0 });
  });

  it("that let a lease run out are given nothing before they say something: join, hold or settle", () => {
    const { claims, join, handOver } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    const says = [
      () => join("d1", 1),
      () => claims.hold("d1", [], 0),
      () => claims.settle("d1", { offset: 1, token: 1, outcome: "done" }, 0),
    ];
    let nowMs = 0;
    for (const say of says) {
      expect(handOver(nowMs)).toHaveLength(1);
      nowMs += 60_000;
      claims.expire(nowMs);
      nowMs += 60_000;
      expect(handOver(nowMs)).toEqual([]);
      say();
    }
  });

  it("have room again when a settle begins, not only when it is on disk; where the log refuses it, they hold both", () => {
    const { claims, join, handOver } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    const held = first(handOver(0));
    claims.look(2, "pickup");
    expect(handOver(0)).toEqual([]);
    const change = claims.settle("d1", { ...held, outcome: "done" }, 0);
    expect(handOver(0)).toMatchObject([{ offset: 2 }]);
    claims.abort(change as NonNullable<typeof change>);
    expect(claims.isCurrent("d1", held, 0)).toBe(true);
    claims.look(3, "pickup");
    expect(handOver(0)).toEqual([]);
  });

  it("that want no more keep what they have", () => {
    const { claims, join, handOver, settle } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    claims.look(2, "pickup");
    const claim = first(handOver(0));
    join("d1", 0);
    expect(settle(claim, "done", 0)).toMatchObject({ record: null, by: "driver:d1" });
    expect(handOver(0)).toEqual([]);
  });

  it("look at no more of the log when so many events are dead, until somebody drops one", () => {
    const { claims, join, handOver, settle } = group(undefined, { mostDead: 1 });
    join("d1", 2);
    claims.look(1, "pickup");
    expect(claims.wantsMore).toBe(true);
    settle(first(handOver(0)), "dead", 0);
    expect(claims.wantsMore).toBe(false);
    const change = claims.drop(1);
    claims.commit(change as NonNullable<typeof change>);
    expect(claims.wantsMore).toBe(true);
  });

  it("look at no more of the log when groups that count together have so many, until one of these ends or is forgotten", () => {
    const together = { count: 0, most: 2 };
    const [one, other] = [group(undefined, { together }), group(undefined, { together })];
    for (const { join } of [one, other]) join("d1", 2);
    one.claims.look(1, "pickup");
    other.claims.look(1, "pickup");
    expect([one.claims.wantsMore, other.claims.wantsMore]).toEqual([false, false]);
    one.settle(first(one.handOver(0)), "dead", 0);
    expect(other.claims.wantsMore).toBe(false);
    const change = one.claims.drop(1);
    one.claims.commit(change as NonNullable<typeof change>);
    expect(other.claims.wantsMore).toBe(true);
    expect([together.count, [...other.claims.offsets]]).toEqual([1, [1]]);
    other.claims.forget();
    expect(together.count).toBe(0);
    other.settle(first(other.handOver(0)), "done", 0); // its end was on its way
    expect(together.count).toBe(0);
    other.claims.look(2, "pickup");
    expect(together.count).toBe(0);
    const record = { offset: 1, event: "pickup", attempt: 0, state: "waiting", dueMs: 0 } as const;
    group({ position: 1, token: 0, records: [record] }, { together });
    expect(together.count).toBe(1);
  });

  it("are handed over bit by bit, end bit by bit, and the dead are told of in the order of the log", () => {
    const { claims, join, handOver } = group(undefined, { attempts: 1 });
    join("d1", 2_000);
    const count = mostGiven + 100;
    for (let offset = 1; offset <= count; offset += 1) claims.look(offset, "pickup");
    let given = 0;
    for (let handed = handOver(0); handed.length > 0; handed = handOver(0)) {
      expect(handed.length).toBeLessThanOrEqual(mostGiven);
      given += handed.length;
    }
    expect(given).toBe(count);
    const late = 2 * leaseMs;
    let ended = 0;
    for (let ends = claims.expire(late); ends.length > 0; ends = claims.expire(late)) {
      expect(ends.length).toBeLessThanOrEqual(mostExpired);
      ended += ends.length;
    }
    expect(ended).toBe(count);
    const records = [...claims.dead()].reverse();
    const again = group({ position: count, token: count, records }, { attempts: 1 });
    expect(offsets(again.claims.dead(7, 3))).toEqual([8, 9, 10]);
  });

  it("have room before more of the log is looked at, and not too many wait already", () => {
    const { claims, join, handOver } = group(undefined, { mostWaiting: 3 });
    expect(claims.wantsMore).toBe(false);
    join("d1", 2);
    expect(claims.wantsMore).toBe(true);
    claims.look(1, "pickup", "p-1");
    claims.look(2, "pickup", "p-2");
    expect(claims.wantsMore).toBe(false); // there is enough for them
    handOver(0);
    expect(claims.wantsMore).toBe(false);
    join("d1", 3);
    expect(claims.wantsMore).toBe(true);
    for (const offset of [3, 4, 5]) claims.look(offset, "pickup", "p-1");
    expect(claims.wantsMore).toBe(false); // all the same key
  });
});

describe("a key of which too many events wait", () => {
  const again = (offset: number, key = "p-1") => ({ offset, event: "pickup", key });

  it("is passed over, while others go on, until half of them are done; then it is looked at again, in order", () => {
    const { claims, join, handOver, settle } = group(undefined, { mostOfKey: 3 });
    join("d1", 5);
    const looked = [1, 2, 3, 4, 5].map((offset) => claims.look(offset, "pickup", "p-1"));
    expect(looked).toEqual([true, true, true, false, false]);
    expect([claims.look(6, "pickup", "p-2"), claims.look(7, "pickup"), claims.wantsMore]).toEqual([
      true,
      true,
      true,
    ]);
    const [one, ...others] = handOver(0) as [HandOver, ...HandOver[]];
    expect(offsets([one, ...others])).toEqual([1, 6, 7]);
    expect([claims.position, claims.lookedAtAllThrough]).toEqual([7, 3]);
    settle(one, "done", 0);
    expect(claims.wantsAgainAfter).toBeUndefined();
    settle(first(handOver(0)), "done", 0);
    expect(claims.wantsAgainAfter).toBe(3);
    expect(claims.look(8, "pickup", "p-1")).toBe(false); // not before the others
    expect(offsets(claims.lookAgain(3, 10, [again(4), again(5), again(6, "p-2"), again(8)]))).toEqual([4, 5]);
    expect([claims.lookedAtAllThrough, claims.wantsAgainAfter]).toEqual([7, undefined]);
    for (const offset of [3, 4]) {
      const claim = first(handOver(0));
      expect(claim.offset).toBe(offset);
      settle(claim, "done", 0);
    }
    expect(offsets(claims.lookAgain(7, 10, [again(8), again(9)]))).toEqual([8]); // 9 was not looked at before
    expect([claims.lookedAtAllThrough, claims.look(9, "pickup", "p-1")]).toEqual([8, true]);
  });

  it("is looked at again only from where it was passed over, also where others are so since before", () => {
    const behind = [
      ["p-1", 2],
      ["p-2", 6],
    ] as const;
    const { claims, join } = group({ position: 9, token: 0, records: [], behind });
    join("d1", 1);
    expect(claims.wantsAgainAfter).toBe(1);
    expect(offsets(claims.lookAgain(1, 7, [again(3), again(4, "p-2"), again(7, "p-2")]))).toEqual([3, 7]);
    expect(claims.lookedAtAllThrough).toBe(7);
    expect(offsets(claims.lookAgain(8, 9, [again(9)]))).toEqual([]); // there may be one at 8
  });

  it("is not looked at again while members have no room, and no further than there is room in the group", () => {
    const behind = [["p-1", 1]] as const;
    const { claims, join } = group({ position: 9, token: 0, records: [], behind }, { mostWaiting: 2 });
    expect(claims.wantsAgainAfter).toBeUndefined();
    join("d1", 5);
    expect(offsets(claims.lookAgain(0, 9, [again(1), again(3), again(4)]))).toEqual([1, 3]);
    expect([claims.wantsAgainAfter, claims.lookedAtAllThrough]).toEqual([undefined, 3]);
  });

  it("does not add up: a group that has passed over so many keys, or so long ones, looks at no more", () => {
    const names = Array.from({ length: 100 }, (_, place) => `p-${place}`);
    for (const keys of [names, ["p".repeat(5_000), "q".repeat(5_000)]]) {
      const { claims, join, handOver, settle } = group(undefined, { mostOfKey: 1 });
      join("d1", 1_000);
      for (const [place, key] of keys.entries()) {
        expect(claims.wantsMore).toBe(true);
        claims.look(2 * place + 1, "pickup", key);
        claims.look(2 * place + 2, "pickup", key);
      }
      expect(claims.wantsMore).toBe(false);
      const [claim] = handOver(0) as [HandOver];
      const behind = keys.map((key, place) => [key, 2 * place + 2] as const);
      const restored = group({ position: claims.position, token: 0, records: [], behind });
      restored.join("d1", 1);
      expect(restored.claims.wantsMore).toBe(false);
      settle(claim, "done", 0);
      claims.lookAgain(1, claims.position, [again(2, claim.key)]);
      expect(claims.wantsMore).toBe(true);
    }
  });

  it("is on disk with the round that moves the position past it, and what was looked at again with the next", () => {
    const { claims, join, settle } = group(undefined, { mostOfKey: 2 });
    join("d1", 1);
    for (const offset of [1, 2, 4, 5]) claims.look(offset, "pickup", "p-1");
    claims.look(6, "pickup", "p-2");
    expect(claims.handOver(0)).toMatchObject({ position: 1, behind: [] });
    settle(first(claims.commitRound(0)), "done", 0);
    const second = claims.handOver(0);
    expect(second).toMatchObject({ position: 5, behind: [["p-1", 4]], records: [{ offset: 2 }] });
    settle(first(claims.commitRound(0)), "done", 0);
    join("d2", 1);
    claims.lookAgain(3, 5, [again(4), again(5)]);
    join("d1", 0);
    const third = claims.handOver(0);
    // All behind the position is looked at anyway.
    expect(third).toMatchObject({ position: 5, behind: [], claims: [{ offset: 4 }] });
    expect(third?.records.map(({ offset }) => offset)).toEqual([4, 5]);
  });

  it("is on disk with what was looked at before it: else that would be looked at when it is under way", () => {
    const { claims, join, handOver, settle } = group(undefined, { mostOfKey: 6 });
    join("d1", 1);
    for (const offset of [1, 2, 3, 4, 5, 6, 7]) claims.look(offset, "pickup", "p-1");
    for (const _ of [1, 2, 3, 4]) settle(first(handOver(0)), "done", 0);
    const held = first(handOver(0));
    join("d2", 1);
    claims.lookAgain(6, 7, [again(7)]);
    claims.hold("d1", [held], 0);
    const round = claims.handOver(0);
    expect(round).toMatchObject({ position: 7, claims: [] });
    expect(new Set(offsets(round?.records ?? []))).toEqual(new Set([5, 6, 7]));
  });

  it("has its dead events listed in the order of the log", () => {
    const behind = [["p-1", 1]] as const;
    const records = [{ ...deadAt(2), key: "p-2" }];
    const { claims, join, handOver, settle } = group({ position: 3, token: 0, records, behind });
    join("d1", 1);
    claims.lookAgain(0, 3, [again(1), again(3)]);
    for (const _ of [1, 3]) settle(first(handOver(0)), "dead", 0);
    expect([offsets(claims.dead()), offsets(claims.dead(0, 1)), offsets(claims.dead(1, 1))]).toEqual([
      [1, 2, 3],
      [1],
      [2],
    ]);
  });
});

describe("what goes to disk with a round", () => {
  it("is what it hands over, what was passed over before that, and a position no further", () => {
    const { claims, join } = group();
    join("d1", 2);
    for (const offset of [2, 4]) claims.look(offset, "pickup", "p-1");
    for (const offset of [6, 8]) claims.look(offset, "pickup");
    claims.lookedThrough(10);
    const round = claims.handOver(0);
    expect(round).toMatchObject({ position: 7, token: 2 });
    expect(round?.records.map(({ offset, state }) => [offset, state])).toEqual([
      [2, "held"],
      [6, "held"],
      [4, "waiting"],
    ]);
    claims.abortRound();
    expect([claims.position, claims.handOver(0)]).toMatchObject([10, { position: 7, token: 4 }]);
  });

  it("is also what happened since to claims that nobody gets anew", () => {
    const { claims, join, handOver } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    handOver(0);
    claims.hold("d1", [{ offset: 1, token: 1 }], 5_000);
    expect(claims.handOver(5_000)).toMatchObject({
      claims: [],
      records: [{ state: "held", untilMs: 15_000 }],
    });
    claims.commitRound(5_000);
    expect(claims.handOver(5_000)).toBeUndefined();
    claims.expire(15_000);
    expect(claims.handOver(15_000)).toMatchObject({
      claims: [],
      records: [{ state: "waiting", attempt: 1 }],
    });
  });

  it("is nothing of a claim whose end is being written: it would be there again afterwards", () => {
    const { claims, join, handOver } = group();
    join("d1", 1);
    claims.look(1, "pickup");
    const claim = first(handOver(0));
    claims.hold("d1", [claim], 1);
    const change = claims.settle("d1", { ...claim, outcome: "done" }, 2);
    expect(claims.handOver(2)).toBeUndefined();
    claims.commit(change as NonNullable<typeof change>);
    expect(claims.handOver(2)).toBeUndefined();
  });

  it("is the position alone when nothing was of interest for long", () => {
    const { claims } = group();
    claims.lookedThrough(999);
    expect(claims.handOver(0)).toBeUndefined();
    claims.lookedThrough(1_000);
    expect(claims.handOver(0)).toEqual({ position: 1_000, behind: [], token: 0, records: [], claims: [] });
  });
});

describe("the record of a claim", () => {
  it("is refused with the log's error where it is of no known form", () => {
    for (const text of [
      "",
      "{}",
      '{"offset":1}',
      claimText({ ...waiting(1), dueMs: -1 }),
      '{"state":"lost"}',
    ]) {
      expect(() => claimFrom(text)).toThrow(expect.objectContaining({ code: "LOG_FAILED" }));
    }
  });
});

function waiting(offset: number, attempt = 0): ClaimRecord & { readonly state: "waiting" } {
  return { offset, event: "pickup", key: "p-1", attempt, state: "waiting", dueMs: 0 };
}

const deadAt = (offset: number): ClaimRecord => ({
  ...waiting(offset),
  state: "dead",
  reason: "refused",
  error: "",
  by: "driver:d1",
  timeMs: 0,
});
