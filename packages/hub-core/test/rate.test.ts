import fc from "fast-check";
import { fullBucket, type Rate, Rates, stopMs, take, tokensLeft, waitMs } from "../src/rate.ts";

const rates = fc.record({
  perSecond: fc.integer({ min: 1, max: 50_000 }),
  atOnce: fc.integer({ min: 1, max: 50_000 }),
  debt: fc.integer({ min: 0, max: 5_000 }),
});
/** What comes, how long after the one before it, and what it needs. */
const asks = fc.array(
  fc.record({ afterMs: fc.integer({ min: 0, max: 3_000 }), tokens: fc.integer({ min: 1, max: 1_000 }) }),
  { minLength: 1, maxLength: 60 },
);

/** Lets pass what may, as the hub does. */
function passed(rate: Rate, coming: readonly { readonly afterMs: number; readonly tokens: number }[]) {
  const through: { readonly atMs: number; readonly tokens: number }[] = [];
  let bucket = fullBucket(rate, 0);
  let nowMs = 0;
  for (const { afterMs, tokens } of coming) {
    nowMs += afterMs;
    if (waitMs(rate, bucket, nowMs) > 0) continue;
    bucket = take(rate, bucket, tokens, nowMs);
    through.push({ atMs: nowMs, tokens });
  }
  return through;
}

describe("a rate", () => {
  it("lets no more pass, in any time, than what is there at once, what comes back, and one message beyond it", () => {
    fc.assert(
      fc.property(rates, asks, (rate, coming) => {
        const through = passed(rate, coming);
        for (const [first, { atMs }] of through.entries()) {
          for (let last = first; last < through.length; last += 1) {
            const within = through.slice(first, last + 1);
            const sum = within.reduce((total, { tokens }) => total + tokens, 0);
            const lengthMs = (within.at(-1)?.atMs ?? 0) - atMs;
            const most = rate.atOnce + (lengthMs * rate.perSecond) / 1_000 + (within.at(-1)?.tokens ?? 0);
            expect(sum).toBeLessThanOrEqual(most + 1e-6);
          }
        }
      }),
    );
  });

  it("lets the next one pass when the time is over that it tells, and not a millisecond before", () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 1, max: 100_000 }), (rate, tokens) => {
        const bucket = take(rate, fullBucket(rate, 0), tokens, 0);
        const ms = waitMs(rate, bucket, 0);
        expect(waitMs(rate, bucket, ms)).toBe(0);
        if (ms > 1) expect(waitMs(rate, bucket, ms - 2)).toBeGreaterThan(0);
      }),
    );
  });

  it("lets a message pass that is larger than all of it, after which the next one waits the longer", () => {
    const rate = { perSecond: 10, atOnce: 5, debt: 1 };
    const bucket = take(rate, fullBucket(rate, 0), 25, 0);
    expect(tokensLeft(rate, bucket, 0)).toBe(-20);
    expect(waitMs(rate, bucket, 0)).toBe(2_100);
  });

  it("stops who is deeper in debt than it may be, until that is worked off and there is something for the next ones", () => {
    const rate = { perSecond: 1_000, atOnce: 100, debt: 50 };
    const allowed = take(rate, fullBucket(rate, 0), 150, 0);
    expect(stopMs(rate, allowed, 0)).toBe(0);
    const deep = take(rate, allowed, 1, 0);
    expect(stopMs(rate, deep, 0)).toBe(51 + 10);
    expect(stopMs(rate, deep, 50)).toBe(1 + 10);
    expect(stopMs(rate, deep, 51)).toBe(0);
  });

  it("stops who went too deep as soon as there is nothing left, until it has rested", () => {
    const rate = { perSecond: 1_000, atOnce: 100, debt: 50 };
    const deep = take(rate, fullBucket(rate, 0), 151, 0);
    const again = take(rate, deep, 50, 100);
    expect(stopMs(rate, again, 100)).toBe(1 + 10);
    const rested = take(rate, again, 150, 201);
    expect(stopMs(rate, rested, 201)).toBe(0);
  });
});

describe("rates of many", () => {
  it("know nothing of each other", () => {
    const many = new Rates<string>({ perSecond: 1, atOnce: 1, debt: 0 });
    many.take("a", 1, 0);
    expect([many.waitMs("a", 0), many.waitMs("b", 0)]).toEqual([1_000, 0]);
  });

  it("keep nothing of those who have rested, however many there were", () => {
    const many = new Rates<string>({ perSecond: 1, atOnce: 1, debt: 0 });
    for (let who = 0; who < 100_000; who += 1) many.take(`${who}`, 1, who * 10);
    expect(many.size).toBeLessThan(2_000);
    expect(many.waitMs("99999", 999_990)).toBe(1_000);
  });

  it("cost little for each that comes, also while none of them has rested", () => {
    const many = new Rates<string>({ perSecond: 1, atOnce: 1, debt: 0 });
    const beganMs = performance.now();
    for (let who = 0; who < 20_000; who += 1) many.take(`${who}`, 1, 0);
    expect(many.size).toBe(20_000);
    expect(performance.now() - beganMs).toBeLessThan(2_000); // each time through all of them: 200 million looks
  });
});
