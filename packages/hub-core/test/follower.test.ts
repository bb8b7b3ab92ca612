import fc from "fast-check";
import { type FollowerInput, followerAt, stepFollower } from "../src/follower.ts";

const mostOpen = 4;

/**
 * What surrounds the table in the hub: a log that grows, one page that is being read, batches without an answer. It checks
 * the promises at every step.
 */
class Surroundings {
  head = 0;
  state = followerAt(0);
  /** Whether a page is being read, and how far the log went when its reading began. */
  reading: { readonly upTo: number } | undefined;
  unanswered: number[] = [];
  /** Through where each batch began. */
  readonly #begins = new Map<number, number>();
  /** Ranges of places that were handled, or that nobody wanted. */
  readonly #done = new Set<number>();

  step(input: FollowerInput): void {
    const before = this.state;
    const [after, { read, save }] = stepFollower(before, input, this.head);
    this.state = after;
    if (read) this.reading = { upTo: this.head };
    expect(after.cursor).toBeGreaterThanOrEqual(before.cursor);
    expect(this.#isDone(before.cursor, after.cursor)).toBe(true);
    expect(after.saved).toBeLessThanOrEqual(after.cursor);
    expect(after.saved).toBe(save ? after.cursor : before.saved);
    expect(after.position).toBeGreaterThanOrEqual(after.cursor);
    expect(after.position).toBeLessThanOrEqual(this.head);
    expect(after.open.length).toBeLessThanOrEqual(mostOpen);
    expect(after.isReading).toBe(this.reading !== undefined);
    if (input.kind === "handled") expect(after.saved).toBe(after.cursor);
    expect(after.cursor - after.saved).toBeLessThan(1_000);
  }

  grow(places: number): void {
    this.head += places;
    this.step({ kind: "grown" });
  }

  page(places: number, isEmpty: boolean): void {
    if (this.reading === undefined) return;
    const { position } = this.state;
    const through = Math.min(position + places, this.reading.upTo);
    this.reading = undefined;
    this.#begins.set(through, position);
    if (isEmpty) this.#finish(through);
    else this.unanswered.push(through);
    this.step({ kind: "page", through, isEmpty });
  }

  answer(which: number): void {
    const [through] = this.unanswered.splice(which % Math.max(this.unanswered.length, 1), 1);
    if (through === undefined) return;
    this.#finish(through);
    this.step({ kind: "handled", through });
  }

  /** A new connection begins at the cursor, a new process of the hub at the one on disk; what was under way is lost. */
  beginAgain(from: "cursor" | "saved"): void {
    this.reading = undefined;
    this.unanswered = [];
    this.state = followerAt(this.state[from]);
    this.step({ kind: "grown" });
  }

  /** Everything is answered that comes. */
  finish(): void {
    for (let turns = 0; this.reading !== undefined || this.unanswered.length > 0; turns += 1) {
      expect(turns).toBeLessThan(10_000);
      this.page(500, false);
      this.answer(turns);
    }
  }

  get unhandled(): number {
    return this.head - this.#done.size;
  }

  #isDone(after: number, through: number): boolean {
    for (let place = after + 1; place <= through; place += 1) if (!this.#done.has(place)) return false;
    return true;
  }

  #finish(through: number): void {
    for (let place = (this.#begins.get(through) ?? 0) + 1; place <= through; place += 1)
      this.#done.add(place);
  }
}

const places = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 600 }));
const happening = fc.oneof(
  places.map((count) => (one: Surroundings) => one.grow(count)),
  fc.tuple(places, fc.boolean()).map(
    ([count, isEmpty]) =>
      (one: Surroundings) =>
        one.page(count, isEmpty),
  ),
  fc.nat(9).map((which) => (one: Surroundings) => one.answer(which)),
  fc
    .constantFrom("cursor" as const, "saved" as const)
    .map((from) => (one: Surroundings) => one.beginAgain(from)),
);

describe("whatever happens to a follower, and in whatever order,", () => {
  it("its cursor passes only what is handled, what is saved is not ahead, and it always gets to the newest event", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
        const one = new Surroundings();
        for (const happen of happenings) happen(one);
        one.finish();
        one.step({ kind: "grown" });
        expect([one.state.cursor, one.state.position, one.unhandled]).toEqual([one.head, one.head, 0]);
      }),
      { numRuns: 500 },
    );
  });

  it("an answer that comes twice, or to a batch that it never had, changes nothing", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 30 }), fc.nat(5_000), (happenings, through) => {
        const one = new Surroundings();
        for (const happen of happenings) happen(one);
        fc.pre(!one.unanswered.includes(through));
        const before = one.state;
        const [after] = stepFollower(before, { kind: "handled", through }, one.head);
        expect({ ...after, saved: 0 }).toEqual({ ...before, saved: 0 });
      }),
    );
  });
});
