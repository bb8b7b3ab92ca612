import { setTimeout } from "node:timers/promises";
import { Arena, type Plan, takeTurns } from "../arena.ts";
import type { Child } from "../child.ts";
import { liftedDoor } from "../lifted-limits.ts";
import type { EmittersAnswers } from "../programs/emitters.ts";
import type { IdlersAnswers } from "../programs/idlers.ts";
import type { ServerKind } from "../programs/server.ts";
import type { Connected } from "../raw-idlers.ts";
import { figuresOf, type Question, type Row } from "../report.ts";

interface Contender {
  readonly name: string;
  readonly kind: ServerKind;
  /** It takes no more than `most` of those that come; missing: all. */
  readonly isBounded?: true;
}

const contenders: readonly Contender[] = [
  { name: "Orrery", kind: "orrery" },
  { name: "bare relay", kind: "bare" },
  { name: "Orrery, at its maximum", kind: "orrery", isBounded: true },
];

interface Case {
  /** That come. */
  readonly connections: number;
  /** That a bounded hub takes. */
  readonly most: number;
  readonly processes: number;
}

/** Each takes an open file in the server, and one more in its own process. */
const full: Case = { connections: 10_000, most: 1_000, processes: 2 };
const quick: Case = { connections: 200, most: 50, processes: 1 };
const atOnce = 20;
const events = 10;

interface Measurement extends Connected {
  readonly bytesEach: number;
  readonly cpuMicrosEach: number;
}

export const connections: Question = {
  name: "connections",
  asks: "How many connections a second does a server accept, what memory does each take, and what does it do with too many?",

  async answer(plan: Plan): Promise<readonly Row[]> {
    const two = { ...plan, rounds: Math.min(plan.rounds, 2) };
    const measured = await takeTurns(contenders, two, (contender) => measure(plan, contender));
    return contenders.map(({ name }, place) => rowOf(name, measured[place] ?? []));
  },
};

async function measure(plan: Plan, { name, kind, isBounded }: Contender): Promise<Measurement> {
  const { connections: coming, most, processes } = plan.isQuick ? quick : full;
  // Of a bounded hub it is not measured how many it can have.
  const count = isBounded ? Math.min(coming, 2 * most) : coming;
  const limits = { ...liftedDoor, connections: (isBounded ? most : coming) + 1 }; // one is the emitter
  await using arena = new Arena(plan);
  const [server, emitters, ...idlers] = await Promise.all([
    arena.startServer(kind, undefined, { limits, hasOwnServer: true }),
    arena.start<EmittersAnswers>("emitters"),
    ...Array.from({ length: processes }, () => arena.start<IdlersAnswers>("idlers")),
  ]);
  const url = await server.ask("url");
  await emitters.ask("connect", "plain", url, 1);
  const share = count / processes;
  const bytesBefore = await server.ask("usedBytes");
  const cpuBefore = await server.ask("cpuMicros");
  const startMs = performance.now();
  const shares = await Promise.all(
    idlers.map((process, place) => process.ask("connect", url, place * share, share, atOnce)),
  );
  const wallMs = performance.now() - startMs;
  const cpuMicros = (await server.ask("cpuMicros")) - cpuBefore;
  const bytes = (await server.ask("usedBytes")) - bytesBefore;
  const accepted = shares.reduce((sum, one) => sum + one.accepted, 0);
  const refused: Record<string, number> = {};
  for (const one of shares) {
    for (const [code, times] of Object.entries(one.refused)) refused[code] = (refused[code] ?? 0) + times;
  }
  const due = isBounded ? most : count;
  if (accepted !== due) throw new Error(`${name}: ${accepted} of ${due}: ${JSON.stringify(refused)}`);
  await serve(emitters, idlers, accepted);
  if (isBounded) await makeRoom(url, idlers);
  return { accepted, refused, wallMs, bytesEach: bytes / accepted, cpuMicrosEach: cpuMicros / count };
}

/** Those that are in are served, whoever was refused beside them. */
async function serve(
  emitters: Child<EmittersAnswers>,
  idlers: readonly Child<IdlersAnswers>[],
  accepted: number,
): Promise<void> {
  await emitters.ask("batch", events);
  for (let heard = 0; heard < accepted * events; await setTimeout(10)) {
    heard = (await Promise.all(idlers.map((process) => process.ask("heard")))).reduce((a, b) => a + b, 0);
    if (heard > accepted * events) throw new Error(`${heard} deliveries instead of ${accepted * events}`);
  }
}

/** Where some go, as many others get in. */
async function makeRoom(url: string, idlers: readonly Child<IdlersAnswers>[]): Promise<void> {
  const [first] = idlers;
  await first?.ask("disconnect", 10);
  for (let missing = 10, number = 100_000; missing > 0; number += 10) {
    // The server may not have heard yet that they are gone.
    missing -= (await first?.ask("connect", url, number, missing, 1))?.accepted ?? 0;
  }
}

function rowOf(name: string, measurements: readonly Measurement[]): Row {
  const refused = Object.entries(measurements.at(-1)?.refused ?? {});
  return {
    labels: { server: name },
    figures: figuresOf(measurements, {
      accepted: ({ accepted }) => accepted,
      "tried/s": ({ accepted, refused: codes, wallMs }) =>
        ((accepted + Object.values(codes).reduce((sum, times) => sum + times, 0)) / wallMs) * 1_000,
      "kB each": ({ bytesEach }) => bytesEach / 1_000,
      "server CPU µs each": ({ cpuMicrosEach }) => cpuMicrosEach,
    }),
    verdicts: refused.map(([code, times]) => `${name}: ${times} refused with ${code}`),
  };
}
