import { Arena, type Plan, takeTurns } from "../arena.ts";
import type { Child } from "../child.ts";
import { liftedRates } from "../lifted-limits.ts";
import type { EmittersAnswers } from "../programs/emitters.ts";
import type { ListenersAnswers } from "../programs/listeners.ts";
import type { ServerAnswers, ServerKind } from "../programs/server.ts";
import { figuresOf, type Question, type Row } from "../report.ts";

const contenders = [
  { name: "Orrery", kind: "orrery", emitters: "sdk", form: "batched", stalls: true },
  { name: "Orrery, all read", kind: "orrery", emitters: "sdk", form: "batched", stalls: false },
  { name: "bare relay", kind: "bare", emitters: "plain", form: "plain", stalls: true },
] as const;

const healthy = 5;
/** 1.5 KB each: the system itself holds some 6 MB for a reader that does not read, and nobody sees it before. */
const isLarge = true;
const phases = ["before", "during", "after"] as const;
type Phase = (typeof phases)[number];

type Measurement = Readonly<Record<Phase, { readonly peakBytes: number; readonly p99: number }>>;

interface Cast {
  readonly hub: Child<ServerAnswers>;
  readonly emitters: Child<EmittersAnswers>;
  readonly listeners: Child<ListenersAnswers>;
  readonly stalled: Child<ListenersAnswers>;
}

export const stalled: Question = {
  name: "stalled",
  asks: `What does a reader that stops reading cost the server and ${healthy} healthy readers beside it?`,

  async answer(plan: Plan): Promise<readonly Row[]> {
    const three = { ...plan, rounds: Math.min(plan.rounds, 3) };
    const measured = await takeTurns(contenders, three, (contender) => measure(plan, contender));
    return contenders.map(({ name }, place) => rowOf(name, measured[place] ?? []));
  },
};

async function measure(plan: Plan, { kind, emitters: speaks, form, stalls }: (typeof contenders)[number]) {
  await using arena = new Arena(plan);
  const { hub, emitters, listeners, stalled } = await assemble(arena, kind);
  const url = await hub.ask("url");
  await listeners.ask("connect", url, form, healthy - 1);
  await stalled.ask("connect", url, form, 1);
  await emitters.ask("listen", url, form);
  await emitters.ask("connect", speaks, url, 1);
  const perSecond = plan.isQuick ? 500 : 2_000;
  const measurement: Partial<Record<Phase, Measurement[Phase]>> = {};
  const lengths = { before: 2, during: 10, after: 2 };
  // The first events are slower, whoever reads.
  let { events } = await emitters.ask("steady", perSecond, plan.durationMs, isLarge);
  for (const phase of phases) {
    if (stalls && phase === "during") await stalled.ask("pause");
    if (stalls && phase === "after") await stalled.ask("resume");
    await hub.ask("watchMemory");
    const { events: sent, latencyMs } = await emitters.ask(
      "steady",
      perSecond,
      lengths[phase] * plan.durationMs,
      isLarge,
    );
    events += sent;
    await listeners.ask("until", events * (healthy - 1));
    measurement[phase] = { peakBytes: await hub.ask("peakBytes"), p99: latencyMs.p99 };
  }
  // It has missed nothing: from memory with the bare relay, from the log with Orrery.
  await stalled.ask("until", events);
  return measurement as Measurement;
}

async function assemble(arena: Arena, kind: ServerKind): Promise<Cast> {
  const [hub, emitters, listeners, stalled] = await Promise.all([
    arena.startServer(kind, undefined, { limits: liftedRates }),
    arena.start<EmittersAnswers>("emitters"),
    arena.start<ListenersAnswers>("listeners"),
    arena.start<ListenersAnswers>("listeners"),
  ]);
  return { hub, emitters, listeners, stalled };
}

function rowOf(name: string, measurements: readonly Measurement[]): Row {
  return {
    labels: { server: name },
    figures: figuresOf(measurements, {
      "MB before": ({ before }) => before.peakBytes / 1e6,
      "MB during": ({ during }) => during.peakBytes / 1e6,
      "MB after": ({ after }) => after.peakBytes / 1e6,
      "MB more while stalled": ({ before, during }) => (during.peakBytes - before.peakBytes) / 1e6,
      "p99 ms before": ({ before }) => before.p99,
      "p99 ms during": ({ during }) => during.p99,
      "p99 ms after": ({ after }) => after.p99,
    }),
    verdicts: [],
  };
}
