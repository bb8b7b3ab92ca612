import { Arena, alternate, inTurns, type Measurement, type Plan } from "../arena.ts";
import type { Child } from "../child.ts";
import { type GuardName, guardNames, type Traffic } from "../guards.ts";
import { newKey } from "../keys.ts";
import { liftedRates } from "../lifted-limits.ts";
import type { EmitterKind } from "../programs/emitters.ts";
import type { GuardsAnswers } from "../programs/guards.ts";
import { figuresOf, type Question, type Row } from "../report.ts";
import { spreadOf } from "../statistics.ts";
import { answerTokens } from "../token-costs.ts";

const clients = 10;

/** With lifted rates a hub counts and compares as ever. */
const hubs = [
  { name: "an event, with tokens", options: { key: newKey("EdDSA"), limits: liftedRates } },
  { name: "an event, open mode", options: { limits: liftedRates } },
] as const;

/** A load, and how its events came to the hub when that was looked at: 4 messages with one read, and so on; of the last, 102 in one. */
interface Case extends Traffic {
  readonly emitters: EmitterKind;
  readonly inFlight: number;
}

const cases: readonly Case[] = [
  { emitters: "plain", inFlight: 64, messagesPerRead: 4, eventsPerMessage: 1 },
  { emitters: "plain", inFlight: 1_024, messagesPerRead: 31, eventsPerMessage: 1 },
  { emitters: "sdk", inFlight: 64, messagesPerRead: 1, eventsPerMessage: 6 },
  { emitters: "sdk", inFlight: 1_024, messagesPerRead: 1, eventsPerMessage: 64 },
];
const quickCases = cases.filter(({ inFlight }) => inFlight === 64);

/** What the issue asks: the guards' share of an event's whole cost. Percent. */
const goal = 5;

/** Each by itself, then all of them. */
const variants: readonly (readonly GuardName[])[] = [...guardNames.map((name) => [name]), guardNames];

export const guards: Question = {
  name: "guards",
  asks: "How much of what an event, and a handshake, costs the hub goes to checking: tokens, rights and limits?",

  async answer(plan: Plan): Promise<readonly Row[]> {
    await using arena = new Arena(plan);
    const alone = await arena.start<GuardsAnswers>("guards", [], arena.profiling);
    const rows: Row[] = [];
    for (const one of plan.isQuick ? quickCases : cases) rows.push(...(await answerCase(plan, one, alone)));
    return [...rows, ...(await answerTokens(plan, alone))];
  },
};

async function answerCase(plan: Plan, one: Case, alone: Child<GuardsAnswers>): Promise<readonly Row[]> {
  const { emitters, inFlight } = one;
  await using arena = new Arena(plan);
  const running = await Promise.all(
    hubs.map(({ name, options }) =>
      arena.enter({ name, server: "orrery", emitters, listeners: "plain" }, clients, 0, options),
    ),
  );
  const whole = await alternate(running, plan, (emitting) =>
    emitting.ask("inFlight", inFlight, plan.durationMs),
  );
  const none: readonly GuardName[] = [];
  const [loop = [], ...guarded] = await inTurns([none, ...variants], plan, (names) =>
    alone.ask("cpuMicrosPerEvent", names, one, plan.durationMs / 4),
  );
  const loopMicros = spreadOf(loop).median;
  const own = guarded.map((rounds) => rounds.map((micros) => micros - loopMicros));
  return [
    ...hubs.map(({ name }, place) => wholeRow(one, name, whole[place] ?? [])),
    ...guardRows(one, whole[0] ?? [], own),
  ];
}

const cpuPerEvent = ({ cpuMicros, events }: Measurement) => cpuMicros / events;

const formOf = ({ emitters }: Case) => (emitters === "sdk" ? "SDK" : "plain");
const labelsOf = (one: Case, what: string) => ({
  what,
  clients: formOf(one),
  "in flight": one.inFlight.toLocaleString("en"),
});

function wholeRow(one: Case, name: string, measurements: readonly Measurement[]): Row {
  return {
    labels: labelsOf(one, name),
    figures: figuresOf(measurements, {
      "CPU µs": cpuPerEvent,
      "events/s": ({ events, wallMs }) => (events / wallMs) * 1_000,
    }),
    verdicts: [],
  };
}

/** `shipped`: of what they are a share. `own`: what each of the variants costs an event, in each round. Microseconds of CPU. */
function guardRows(
  one: Case,
  shipped: readonly Measurement[],
  own: readonly (readonly number[])[],
): readonly Row[] {
  const whole = spreadOf(shipped.map(cpuPerEvent)).median;
  const share = (micros: number) => (micros / whole) * 100;
  return variants.map((names, place) => {
    const rounds = own[place] ?? [];
    const isAll = names === guardNames;
    const percent = share(spreadOf(rounds).median).toFixed(1);
    const verdict = `${formOf(one)}, ${one.inFlight} in flight: guards are ${percent} % of an event (goal: under ${goal})`;
    return {
      labels: labelsOf(one, isAll ? "all guards" : `guard: ${names.join()}`),
      figures: figuresOf(rounds, { "CPU µs": (micros) => micros, "share %": share }),
      verdicts: isAll ? [verdict] : [],
    };
  });
}
