import { Arena, alternate, type Contender, type Load, type Measurement, type Plan } from "../arena.ts";
import { liftedDoor, liftedRates } from "../lifted-limits.ts";
import { figuresOf, type Question, type Row } from "../report.ts";
import { spreadOf } from "../statistics.ts";

const contenders: readonly Contender[] = [
  { name: "Orrery, SDK, batched", server: "orrery", emitters: "sdk", listeners: "batched" },
  { name: "Orrery, SDK, plain", server: "orrery", emitters: "sdk", listeners: "plain" },
  { name: "bare relay", server: "bare", emitters: "plain", listeners: "plain" },
];

interface Case {
  readonly name: string;
  readonly emitters: number;
  readonly listeners: number;
  readonly load: (plan: Plan) => Load;
  /** CPU per delivery as a share of the bare relay's, as performance.md asks it of the batched form. */
  readonly goal?: { readonly goal: number; readonly least: number };
}

const paced = (listeners: number): Case => ({
  name: "paced",
  emitters: 1,
  listeners,
  load: (plan) => (emitters) => emitters.ask("paced", plan.durationMs),
  // With one listener it is the commit that is measured, which the bare relay does not have.
  ...(listeners > 1 && { goal: { goal: 1, least: 1.15 } }),
});

const bursts = (listeners: number): Case => ({
  name: "bursts of 100",
  emitters: 1,
  listeners,
  load: (plan) => (emitters) => emitters.ask("bursts", 100, plan.durationMs),
});

const hub = (listeners: number): Case => ({
  name: "hub",
  emitters: 10,
  listeners,
  load: (plan) => (emitters) => emitters.ask("inFlight", 80, plan.durationMs),
  goal: { goal: 1 / 20, least: 1 / 10 },
});

const cases = [paced(1), paced(100), paced(1_000), bursts(1), bursts(100), bursts(1_000), hub(100)];
const quickCases = [paced(10), bursts(10), hub(10)];

export const fanOut: Question = {
  name: "fan-out",
  asks: "What does one event cost the server for each of its listeners, when events are far apart and when they come together?",

  async answer(plan: Plan): Promise<readonly Row[]> {
    const rows: Row[] = [];
    // Starting processes is what takes long in the smallest form, so there all cases share them.
    for (const together of plan.isQuick ? [quickCases] : cases.map((one) => [one])) {
      rows.push(...(await answerCases(together, plan)));
    }
    return rows;
  },
};

async function answerCases(together: readonly Case[], plan: Plan): Promise<readonly Row[]> {
  await using arena = new Arena(plan);
  const emitters = Math.max(...together.map((one) => one.emitters));
  const listeners = Math.max(...together.map((one) => one.listeners));
  // A thousand listeners come in a second or two, and in bursts one emitter says some 20,000 events a second: the defaults' edges.
  const options = { limits: { ...liftedDoor, ...liftedRates } };
  const running = await Promise.all(
    contenders.map((contender) => arena.enter(contender, emitters, listeners, options)),
  );
  const rows: Row[] = [];
  for (const one of together) {
    const measured = await alternate(running, plan, one.load(plan));
    rows.push(
      ...contenders.map((contender, place) =>
        rowOf(one, contender, measured[place] ?? [], measured.at(-1) ?? []),
      ),
    );
  }
  return rows;
}

const cpuPerDelivery = ({ cpuMicros, deliveries }: Measurement) => cpuMicros / deliveries;

function rowOf(
  { name, listeners, goal }: Case,
  contender: Contender,
  own: readonly Measurement[],
  bare: readonly Measurement[],
): Row {
  const median = (measurements: readonly Measurement[]) => spreadOf(measurements.map(cpuPerDelivery)).median;
  const ratio = median(own) / median(bare);
  const isTold = goal !== undefined && contender.listeners === "batched";
  const target = isTold ? ` (goal ${goal.goal}, least ${goal.least})` : "";
  const verdict = `${name}, ${listeners} listeners, ${contender.name}: ${ratio.toFixed(3)} × bare in CPU per delivery${target}`;
  return {
    labels: { load: name, listeners: String(listeners), server: contender.name },
    figures: figuresOf(own, {
      "CPU µs/delivery": cpuPerDelivery,
      "deliveries/s": ({ deliveries, wallMs }) => (deliveries / wallMs) * 1_000,
      // Paced: from emit to arrival. Else: from emit to ack.
      "p50 ms": ({ latencyMs }) => latencyMs.p50,
      "p99 ms": ({ latencyMs }) => latencyMs.p99,
    }),
    verdicts: contender.server === "orrery" ? [verdict] : [],
  };
}
