// A process with the members of a team, or with who gives them work: `workers <kind> <url>`.
import { setTimeout } from "node:timers/promises";
import { answerParent } from "../child.ts";
import { clockMs } from "../clock.ts";
import { JobTally } from "../job-tally.ts";
import { jobOf } from "../jobs.ts";
import type { Latency } from "../statistics.ts";
import type { Team, WorkPeer } from "../work-peer.ts";

/** `keyed`, `unordered`: Orrery. */
export type WorkPeerKind = "keyed" | "unordered" | "bullmq" | "pg-boss";

/** Given at once; more gain nothing. */
const batchJobs = 500;

async function open(kind: WorkPeerKind, url: string): Promise<WorkPeer> {
  if (kind === "bullmq") return new (await import("../peers/bullmq-queue.ts")).BullmqQueue(url);
  if (kind === "pg-boss") return new (await import("../peers/pg-boss-queue.ts")).PgBossQueue(url);
  return new (await import("../peers/orrery-group.ts")).OrreryGroup(url, kind);
}

const [kind, url = ""] = process.argv.slice(2) as [WorkPeerKind, string?];
const peer = await open(kind, url);
let at: { readonly team: Team; readonly tally: JobTally } | undefined;

function atWork(): NonNullable<typeof at> {
  if (at === undefined) throw new Error("There is no team.");
  return at;
}

export type WorkersAnswers = typeof answers;
const answers = answerParent({
  /** All is given, and kept, when it resolves. */
  async give(queue: string, jobs: number): Promise<void> {
    for (let first = 0; first < jobs; first += batchJobs) {
      const length = Math.min(batchJobs, jobs - first);
      await peer.give(
        queue,
        Array.from({ length }, (_, place) => jobOf(first + place, clockMs())),
      );
    }
  },

  /** So many a second, the next one whether the last is kept or not, from number `first` on. */
  async giveSteadily(queue: string, first: number, jobs: number, perSecond: number): Promise<void> {
    const startMs = performance.now();
    const kept: Promise<void>[] = [];
    while (kept.length < jobs) {
      const due = Math.min(jobs, 1 + Math.floor(((performance.now() - startMs) * perSecond) / 1_000));
      while (kept.length < due) kept.push(peer.give(queue, [jobOf(first + kept.length, clockMs())]));
      if (kept.length < jobs) await setTimeout(1);
    }
    await Promise.all(kept);
  },

  async assemble(queue: string, members: number, capacity: number): Promise<void> {
    const tally = new JobTally({ isKeyed: kind === "keyed" });
    const team = await peer.assemble(queue, {
      members,
      capacity,
      onJob: (job) => tally.take(job),
      onSettled: (count) => tally.settle(count),
      onError: (error) => tally.fail(error),
    });
    at = { team, tally };
  },

  /** The members begin. Resolves, with the time it took, when so many are settled. Milliseconds. */
  async work(jobs: number): Promise<number> {
    const { team, tally } = atWork();
    const startMs = performance.now();
    team.start();
    await tally.until(jobs);
    const wallMs = performance.now() - startMs;
    tally.latencyMs();
    return wallMs;
  },

  /** Resolves when so many are settled, since the team was there, with how soon those since the last question came. */
  async workOn(jobs: number): Promise<Latency> {
    const { tally } = atWork();
    await tally.until(jobs);
    return tally.latencyMs();
  },

  /** Throws unless each of them was handed out and settled once, and nothing is left. */
  async end(jobs: number): Promise<void> {
    const { team, tally } = atWork();
    const left = await team.left();
    await team.end();
    tally.check(jobs);
    if (left > 0) throw new Error(`${left} jobs are not settled`);
  },

  /** Microseconds of CPU time so far. */
  cpuMicros: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
});
