import { Arena, type Plan, takeTurns } from "../arena.ts";
import { liftedDoor } from "../lifted-limits.ts";
import type { EmittersAnswers } from "../programs/emitters.ts";
import type { ListenersAnswers } from "../programs/listeners.ts";
import { figuresOf, type Question, type Row } from "../report.ts";

interface Case {
  readonly satellites: number;
  readonly missed: number;
}

/** What matters of the time away is how much was missed. The first is in the hub's memory; of the second, most is not. */
const cases: readonly Case[] = [
  { satellites: 1_000, missed: 500 },
  { satellites: 1_000, missed: 2_000 },
];
const quickCases: readonly Case[] = [{ satellites: 20, missed: 3_000 }];

interface Measurement {
  readonly deliveries: number;
  readonly lastMs: number;
  readonly hubCpuMicros: number;
  readonly hubPeakBytes: number;
}

export const reconnectMany: Question = {
  name: "reconnect-many",
  asks: "How long do satellites that come back at once wait until the last has all that it missed, and what does it cost?",

  async answer(plan: Plan): Promise<readonly Row[]> {
    const asked = plan.isQuick ? quickCases : cases;
    const short = { ...plan, rounds: Math.min(plan.rounds, 3) };
    const measured = await takeTurns(asked, short, (one) => measure(plan, one));
    return asked.map((one, place) => rowOf(one, measured[place] ?? []));
  },
};

async function measure(plan: Plan, { satellites, missed }: Case): Promise<Measurement> {
  const processes = plan.isQuick ? 1 : 2;
  await using arena = new Arena(plan);
  const [hub, emitters, ...listeners] = await Promise.all([
    // By default 1,000 may come from one address at once, and the emitter is there already.
    arena.startServer("orrery", undefined, { limits: liftedDoor }),
    arena.start<EmittersAnswers>("emitters"),
    ...Array.from({ length: processes }, () => arena.start<ListenersAnswers>("listeners")),
  ]);
  const url = await hub.ask("url");
  await emitters.ask("connect", "sdk", url, 1);
  // Through the hub, so that it has in memory what it would have.
  await emitters.ask("batch", missed);
  const epoch = await hub.ask("epoch");
  await hub.ask("watchMemory");
  const cpuBefore = await hub.ask("cpuMicros");
  const share = satellites / processes;
  const times = await Promise.all(
    listeners.map((process) => process.ask("comeBack", url, share, `${epoch}:0`, share * missed)),
  );
  return {
    deliveries: satellites * missed,
    lastMs: Math.max(...times.map(({ endMs }) => endMs)) - Math.min(...times.map(({ startMs }) => startMs)),
    hubCpuMicros: (await hub.ask("cpuMicros")) - cpuBefore,
    hubPeakBytes: await hub.ask("peakBytes"),
  };
}

function rowOf({ satellites, missed }: Case, measurements: readonly Measurement[]): Row {
  return {
    labels: { satellites: satellites.toLocaleString("en"), "missed by each": missed.toLocaleString("en") },
    figures: figuresOf(measurements, {
      "last has all s": ({ lastMs }) => lastMs / 1_000,
      "deliveries/s": ({ deliveries, lastMs }) => (deliveries / lastMs) * 1_000,
      "hub CPU s": ({ hubCpuMicros }) => hubCpuMicros / 1e6,
      "hub CPU µs/delivery": ({ hubCpuMicros, deliveries }) => hubCpuMicros / deliveries,
      "hub peak MB": ({ hubPeakBytes }) => hubPeakBytes / 1e6,
    }),
    verdicts: [],
  };
}
