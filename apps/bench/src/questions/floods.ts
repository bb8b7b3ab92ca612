import { Arena, type Plan, takeTurns } from "../arena.ts";
import { fill } from "../filled-log.ts";
import { type FloodKind, floodKinds } from "../flooder.ts";
import type { EmittersAnswers } from "../programs/emitters.ts";
import type { FloodersAnswers } from "../programs/flooders.ts";
import { figuresOf, type Question, type Row } from "../report.ts";
import { spreadOf } from "../statistics.ts";

const perSecond = 500;
/** A hub's first flood meets code that is cold. */
const phases = ["before", "first", "between", "later", "after"] as const;
type Phase = (typeof phases)[number];
const isFlooded = (phase: Phase): boolean => phase === "first" || phase === "later";

/** As apps/hub is started. */
const flags = ["--min-semi-space-size=16", "--always-sparkplug"];

interface Case {
  readonly label: string;
  /** Without one, as with one, what else the machine does makes a difference. */
  readonly kind: FloodKind | undefined;
  /** Of the one that floods. */
  readonly connections: number;
}

const cases: readonly Case[] = [
  { label: "none", kind: undefined, connections: 0 },
  ...floodKinds.map((kind) => ({ label: kind, kind, connections: kind === "churn" ? 50 : 1 })),
  { label: "events × 20", kind: "events", connections: 20 },
  { label: "malformed × 20", kind: "malformed", connections: 20 },
];

interface Measurement {
  readonly p50: Readonly<Record<Phase, number>>;
  readonly p99: Readonly<Record<Phase, number>>;
  readonly sentPerSecond: number;
  readonly refusedPerSecond: number;
  /** Of the hub while it is flooded, all its threads. Share of one core. */
  readonly cpuShare: number;
  readonly peakBytes: number;
}

export const floods: Question = {
  name: "floods",
  asks: "What does a satellite that floods the hub do to one beside it?",

  async answer(plan: Plan): Promise<readonly Row[]> {
    const measured = await takeTurns(cases, plan, (one) => measure(plan, one));
    return cases.map(({ label }, place) => rowOf(label, measured[place] ?? []));
  },
};

async function measure(plan: Plan, { kind, connections }: Case): Promise<Measurement> {
  await using arena = new Arena(plan);
  const directory = await arena.directory();
  // For those who ask for all that there was.
  await fill(arena, directory, plan.isQuick ? 1_000 : 100_000);
  const [hub, emitters, flooders] = await Promise.all([
    arena.startServer("orrery", directory, { hasOwnServer: true }, flags),
    arena.start<EmittersAnswers>("emitters"),
    arena.start<FloodersAnswers>("flooders"),
  ]);
  const url = await hub.ask("url");
  await emitters.ask("listen", url, "batched", true);
  await emitters.ask("connect", "sdk", url, 1);
  // The first events are slower.
  await emitters.ask("steady", perSecond, 2 * plan.durationMs);
  const lengthMs = 5 * plan.durationMs;
  const [p50, p99]: Partial<Record<Phase, number>>[] = [{}, {}];
  let flood = { sentPerSecond: 0, refusedPerSecond: 0, cpuShare: 0, peakBytes: 0 };
  for (const phase of phases) {
    if (isFlooded(phase) && kind !== undefined) await flooders.ask("start", url, kind, connections);
    await hub.ask("watchMemory");
    const [cpuBefore, startMs] = [await hub.ask("cpuMicros"), performance.now()];
    const { latencyMs } = await emitters.ask("steady", perSecond, lengthMs);
    const wallMs = performance.now() - startMs;
    const cpuShare = ((await hub.ask("cpuMicros")) - cpuBefore) / 1_000 / wallMs;
    const peakBytes = await hub.ask("peakBytes");
    Object.assign(p50 as object, { [phase]: latencyMs.p50 });
    Object.assign(p99 as object, { [phase]: latencyMs.p99 });
    if (!isFlooded(phase)) continue;
    const { sent, refused } = await flooders.ask("stop");
    const perSecondOf = (count: number) => (count / wallMs) * 1_000;
    flood = { sentPerSecond: perSecondOf(sent), refusedPerSecond: perSecondOf(refused), cpuShare, peakBytes };
  }
  return { p50, p99, ...flood } as Measurement;
}

function rowOf(flood: string, measurements: readonly Measurement[]): Row {
  const ratioOf = (flooded: Phase, quiet: Phase) => {
    const ratios = measurements.map(({ p99 }) => p99[flooded] / p99[quiet]);
    const { median, min, max } = spreadOf(ratios);
    return `${median.toFixed(1)} × (${min.toFixed(1)} to ${max.toFixed(1)})`;
  };
  return {
    labels: { flood },
    figures: figuresOf(measurements, {
      "p50 ms before": ({ p50 }) => p50.before,
      "p50 ms first": ({ p50 }) => p50.first,
      "p50 ms later": ({ p50 }) => p50.later,
      "p99 ms before": ({ p99 }) => p99.before,
      "p99 ms first": ({ p99 }) => p99.first,
      "p99 ms between": ({ p99 }) => p99.between,
      "p99 ms later": ({ p99 }) => p99.later,
      "p99 ms after": ({ p99 }) => p99.after,
      "sent/s": ({ sentPerSecond }) => sentPerSecond,
      "refused/s": ({ refusedPerSecond }) => refusedPerSecond,
      "hub CPU": ({ cpuShare }) => cpuShare,
      "hub peak MB": ({ peakBytes }) => peakBytes / 1e6,
    }),
    verdicts: [
      `${flood}: p99 beside the first one is ${ratioOf("first", "before")} that before, beside a later one ${ratioOf("later", "between")} that between (goal 2)`,
    ],
  };
}
