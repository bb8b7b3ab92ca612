import { command } from "../command.ts";

/** A run of some six seconds, its start and its end, on a busy machine. */
const testMs = 180_000;

const fuzz = (...args: readonly string[]) => command("fuzz/main.ts", ...args);

describe("npm run fuzz", () => {
  it(
    "lets attackers at a real hub, and finds that the bystander was served and nothing was told that should not be",
    async () => {
      await using run = await fuzz("--minutes", "0.1", "--seed", "1");
      await run.exits(0);
      expect(run.lines.all).toContain("seed 1");
      expect(run.counted("said")).toBeGreaterThan(200);
      expect(run.counted("answered, ok")).toBeGreaterThan(20);
      expect(run.counted("answered, MESSAGE_INVALID")).toBeGreaterThan(0);
      for (const phase of ["before", "during", "after"]) {
        for (const what of ["acked", "heard", "followed"]) {
          expect(run.counted(`bystander, ${what} ${phase} the attack`)).toBeGreaterThan(0);
        }
      }
      expect(run.counted("handshake refused, TOKEN_INVALID")).toBeGreaterThan(0);
      expect(run.counted("tokens revoked, all")).toBe(1);
      expect(await run.kept()).toEqual([]);
    },
    testMs,
  );

  it(
    "does so too where the hub is in open mode",
    async () => {
      await using run = await fuzz("--minutes", "0.1", "--seed", "1", "--open");
      await run.exits(0);
      expect(run.counted("said")).toBeGreaterThan(200);
      expect(run.counted("answered, ok")).toBeGreaterThan(20);
      expect(run.counted("handshake refused, TOKEN_INVALID")).toBe(0);
      expect(await run.kept()).toEqual([]);
    },
    testMs,
  );

  it("names its options where it was given others", async () => {
    await using run = await fuzz("--minutes", "0");
    await run.exits(1);
    expect(run.lines.matching(/--minutes/)).not.toEqual([]);
  });
});
