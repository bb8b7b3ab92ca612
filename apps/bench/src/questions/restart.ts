import { Arena, type Plan } from "../arena.ts";
import { fill } from "../filled-log.ts";
import type { EmittersAnswers } from "../programs/emitters.ts";
import { figuresOf, type Question, type Row } from "../report.ts";

interface Case {
  readonly kept: number;
  readonly followers: number;
}

const cases: readonly Case[] = [
  { kept: 0, followers: 0 },
  { kept: 100_000, followers: 0 },
  { kept: 1_000_000, followers: 0 },
  { kept: 10_000_000, followers: 0 },
  { kept: 10_000_000, followers: 1_000 },
];
const quickCases: readonly Case[] = [{ kept: 10_000, followers: 10 }];

interface Measurement {
  readonly openMs: number;
  readonly listeningMs: number;
  readonly ackedMs: number;
  readonly followsMs: number;
}

export const restart: Question = {
  name: "restart",
  asks: "How long after its process begins does a hub listen, and ack the first event, with many events kept?",

  async answer(plan: Plan): Promise<readonly Row[]> {
    await using arena = new Arena(plan);
    const directory = await arena.directory();
    const rows: Row[] = [];
    for (const one of plan.isQuick ? quickCases : cases) {
      await fill(arena, directory, one.kept, one.followers);
      const measurements: Measurement[] = [];
      for (let round = 0; round < Math.min(plan.rounds, 3); round += 1) {
        measurements.push(await measure(arena, directory, one.kept));
      }
      rows.push(rowOf(one, measurements));
    }
    return rows;
  },
};

/** Times from the process's beginning. It ends without closing its log, as in a crash. */
async function measure(arena: Arena, directory: string, kept: number): Promise<Measurement> {
  await using emitters = await arena.start<EmittersAnswers>("emitters");
  await using hub = await arena.startServer("orrery", directory);
  const url = await hub.ask("url");
  const { startedMs, listeningMs, openMs } = await hub.ask("startup");
  if (((await hub.ask("head")) ?? 0) < kept) throw new Error("The log has lost events.");
  await emitters.ask("connect", "sdk", url, 1);
  const ackedMs = await emitters.ask("one");
  const askedMs = performance.timeOrigin + performance.now();
  const followsMs = (await emitters.ask("follow", url)) - askedMs;
  return { openMs, listeningMs: listeningMs - startedMs, ackedMs: ackedMs - startedMs, followsMs };
}

function rowOf({ kept, followers }: Case, measurements: readonly Measurement[]): Row {
  return {
    labels: { "events kept": kept.toLocaleString("en"), "followers known": followers.toLocaleString("en") },
    figures: figuresOf(measurements, {
      "log open ms": ({ openMs }) => openMs,
      "listening ms": ({ listeningMs }) => listeningMs,
      "first ack ms": ({ ackedMs }) => ackedMs,
      "first follow ms": ({ followsMs }) => followsMs,
    }),
    verdicts: [],
  };
}
