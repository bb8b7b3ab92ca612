import { Arena, alternate, type Contender, type Measurement, type Plan } from "../arena.ts";
import { liftedRates } from "../lifted-limits.ts";
import { figuresOf, type Question, type Row } from "../report.ts";
import { spreadOf } from "../statistics.ts";

const clients = 10;

const sdk = { name: "Orrery, SDK", server: "orrery", emitters: "sdk", listeners: "batched" } as const;
const plain = { name: "Orrery, plain", server: "orrery", emitters: "plain", listeners: "plain" } as const;
const bare = { name: "bare relay, plain", server: "bare", emitters: "plain", listeners: "plain" } as const;
const contenders: readonly Contender[] = [sdk, plain, bare];

/** What performance.md asks of the SDK. Events per second, by events in flight. */
const sdkGoals = new Map([
  [64, 25_000],
  [1_024, 60_000],
]);

export const ingest: Question = {
  name: "ingest",
  asks: `How many events a second does a server ack to ${clients} clients, and how soon? Orrery's are on disk by then.`,

  async answer(plan: Plan): Promise<readonly Row[]> {
    await using arena = new Arena(plan);
    // All clients are one satellite, and together they say more than one may by default.
    const options = { limits: liftedRates };
    const running = await Promise.all(
      contenders.map((contender) => arena.enter(contender, clients, 0, options)),
    );
    const rows: Row[] = [];
    for (const inFlight of plan.isQuick ? [64] : [64, 1_024]) {
      const measured = await alternate(running, plan, (emitters) =>
        emitters.ask("inFlight", inFlight, plan.durationMs),
      );
      rows.push(...contenders.map((contender, place) => rowOf(contender, inFlight, measured, place)));
    }
    return rows;
  },
};

const perSecond = ({ events, wallMs }: Measurement) => (events / wallMs) * 1_000;

function rowOf(
  contender: Contender,
  inFlight: number,
  measured: readonly (readonly Measurement[])[],
  place: number,
): Row {
  const own = measured[place] ?? [];
  const rate = (measurements: readonly Measurement[] = []) => spreadOf(measurements.map(perSecond)).median;
  const verdicts: string[] = [];
  const goal = sdkGoals.get(inFlight);
  if (contender === sdk && goal !== undefined) {
    verdicts.push(
      `SDK, ${inFlight} in flight: ${Math.round(rate(own) / 1_000)} k/s (goal ${goal / 1_000} k/s)`,
    );
  }
  if (contender === plain && inFlight === 64) {
    const ratio = rate(own) / rate(measured[contenders.indexOf(bare)]);
    verdicts.push(
      `plain clients, 64 in flight: ${ratio.toFixed(2)} × the bare relay's rate (goal 1, least 0.8)`,
    );
  }
  return {
    labels: { server: contender.name, "in flight": String(inFlight) },
    figures: figuresOf(own, {
      "events/s": perSecond,
      "p50 ms": ({ latencyMs }) => latencyMs.p50,
      "p99 ms": ({ latencyMs }) => latencyMs.p99,
      "CPU µs/event": ({ cpuMicros, events }) => cpuMicros / events,
    }),
    verdicts,
  };
}
