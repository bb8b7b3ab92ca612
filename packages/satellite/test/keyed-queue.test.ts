import fc from "fast-check";
import { KeyedQueue } from "../src/keyed-queue.ts";
import { turn } from "./waiting.ts";

/** `turns`: how long it takes, in turns of the event loop; "at once" where it is not even async. */
interface Task {
  readonly key: string | undefined;
  readonly turns: number | "at once";
  readonly fails: boolean;
  /** Turns between the task before and this one. */
  readonly after: number;
}

const task: fc.Arbitrary<Task> = fc.record({
  key: fc.constantFrom("a", "b", "c", undefined),
  turns: fc.oneof(fc.nat(4), fc.constant("at once" as const)),
  fails: fc.boolean(),
  after: fc.constantFrom(0, 0, 0, 1, 2),
});
const pass = async (turns: number) => {
  for (let n = 0; n < turns; n += 1) await turn();
};

it("runs every task with its own result, those of a key one at a time and in order, and never too many at once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(task, { maxLength: 40 }),
      fc.integer({ min: 1, max: 5 }),
      async (tasks, most) => {
        const queue = new KeyedQueue(most);
        const running = new Set<number>();
        const begun: number[] = [];
        const begin = (place: number) => {
          const keysRunning = [...running].map((one) => tasks[one]?.key).filter((key) => key !== undefined);
          expect(keysRunning).not.toContain(tasks[place]?.key);
          running.add(place);
          begun.push(place);
          expect(running.size).toBeLessThanOrEqual(most);
        };
        const end = (place: number, fails: boolean) => {
          running.delete(place);
          if (fails) throw new Error(`${place}`);
          return place;
        };
        const results: Promise<number>[] = [];
        for (const [place, { key, turns, fails, after }] of tasks.entries()) {
          await pass(after);
          const result = queue.run(key, () => {
            begin(place);
            return turns === "at once" ? end(place, fails) : pass(turns).then(() => end(place, fails));
          });
          results.push(Promise.resolve(result));
          results.at(-1)?.catch(() => undefined);
        }
        const outcomes = await Promise.allSettled(results);
        outcomes.forEach((outcome, place) => {
          const wanted = tasks[place]?.fails
            ? { status: "rejected", reason: new Error(`${place}`) }
            : { status: "fulfilled", value: place };
          expect(outcome).toEqual(wanted);
        });
        expect([...begun].sort((a, b) => a - b)).toEqual([...tasks.keys()]);
        for (const key of ["a", "b", "c"]) {
          const places = begun.filter((place) => tasks[place]?.key === key);
          expect(places).toEqual([...places].sort((a, b) => a - b));
        }
      },
    ),
    { numRuns: 300 },
  );
});

it("takes no place from others while a key waits for itself", async () => {
  const queue = new KeyedQueue(2);
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const waiting = [1, 2, 3].map(async () => queue.run("a", () => gate));
  expect(await queue.run("b", async () => "b")).toBe("b");
  release();
  await Promise.all(waiting);
});
