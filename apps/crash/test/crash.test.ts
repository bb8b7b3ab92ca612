import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { command } from "./command.ts";

/** A run of this size takes 15 s on two cores that have nothing else to do. */
const testMs = 180_000;

const isLinux = process.platform === "linux";
const itOnLinux = isLinux ? it : it.skip;
/** In CI it must not be left out: there the run itself says what is missing. */
const canLosePower = isLinux && spawnSync("cc", ["--version"]).status === 0;
const itWithPower = canLosePower || process.env.CI ? it : it.skip;

const crash = (...args: readonly string[]) => command("main.ts", ...args);

describe("npm run crash", () => {
  it(
    "kills the hub, publishers and followers, and finds every promise kept",
    async () => {
      await using run = await crash("--kills", "3", "--seed", "1");
      await run.exits(0);
      expect(run.counted("hub killed")).toBe(3);
      expect(run.counted("publishers killed")).toBeGreaterThan(0);
      expect(run.counted("followers killed")).toBeGreaterThan(0);
      expect(run.counted("events acked")).toBeGreaterThan(100);
      expect(run.counted("acked, but not in the log")).toBe(0);
      expect(await run.kept()).toEqual([]);
    },
    testMs,
  );

  it(
    "stops and kills drivers that share work, and the hub, and finds every parcel delivered once",
    async () => {
      await using run = await crash("--work", "--seed", "1");
      await run.exits(0);
      expect(run.counted("drivers' processes stopped")).toBe(2);
      expect(run.counted("drivers' processes killed")).toBe(2);
      expect(run.counted("the hub stopped")).toBe(1);
      expect(run.counted("the hub killed")).toBe(1);
      expect(run.counted("claims done")).toBe(600);
      expect(run.counted("claims that ran out")).toBeGreaterThan(0);
      expect(run.counted("LEASE_LOST met by drivers")).toBeGreaterThan(0);
      expect(run.counted("claims that a stop or kill of their driver cut")).toBeGreaterThan(0);
      expect(await run.kept()).toEqual([]);
    },
    testMs,
  );

  itOnLinux(
    "takes everything with it when it is stopped",
    async () => {
      await using run = await crash("--kills", "1000");
      await run.prints(/^2 of 1000: /);
      const children = await childrenOf(run.pid);
      expect(children.length).toBeGreaterThan(3);
      run.send("SIGINT");
      await run.exits(130);
      expect(children.filter(isAlive)).toEqual([]);
      expect(await run.kept()).toEqual([]);
    },
    testMs,
  );

  it("names its options where it was given others", async () => {
    await using run = await crash("--no-fsync");
    await run.exits(1);
    expect(run.lines.matching(/--power-loss/)).not.toEqual([]);
  });

  itWithPower(
    "finds every promise kept where the hub loses power, too",
    async () => {
      await using run = await crash("--kills", "2", "--seed", "2", "--power-loss");
      await run.exits(0);
      expect(run.counted("hub killed")).toBe(3); // the last one after all receipts
      expect(run.counted("events acked")).toBeGreaterThan(100);
    },
    testMs,
  );

  itWithPower(
    "can fail: where the hub loses power and nothing was synced, it finds what was lost",
    async () => {
      await using run = await crash("--kills", "2", "--seed", "2", "--power-loss", "--no-fsync");
      await run.exits(1);
      expect(run.counted("acked, but not in the log")).toBeGreaterThan(0);
      expect(run.counted("events in the log")).toBeGreaterThan(0);
      expect(run.lines.matching(/^The files are kept: /)).toHaveLength(1);
      expect(await run.kept()).toHaveLength(1);
    },
    testMs,
  );
});

/** The processes that it has started, as Linux tells; tsx's compiler, which ends by itself, is not meant. */
async function childrenOf(pid = 0): Promise<readonly string[]> {
  const pids = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ").filter(Boolean);
  const commands = await Promise.all(pids.map((child) => readFile(`/proc/${child}/cmdline`, "utf8")));
  return pids.filter((_, place) => commands[place]?.includes("--import"));
}

function isAlive(pid: string): boolean {
  try {
    return process.kill(Number(pid), 0);
  } catch {
    return false;
  }
}
