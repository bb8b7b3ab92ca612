import { parseArgs } from "node:util";
import type { Plan } from "./arena.ts";
import { behind } from "./questions/behind.ts";
import { catchUp } from "./questions/catch-up.ts";
import { claims } from "./questions/claims.ts";
import { connections } from "./questions/connections.ts";
import { dropOuts } from "./questions/drop-outs.ts";
import { fanOut } from "./questions/fan-out.ts";
import { floods } from "./questions/floods.ts";
import { guards } from "./questions/guards.ts";
import { ingest } from "./questions/ingest.ts";
import { reconnectMany } from "./questions/reconnect-many.ts";
import { restart } from "./questions/restart.ts";
import { stalled } from "./questions/stalled.ts";
import { types } from "./questions/types.ts";
import { type Question, saveAnswer, tableOf } from "./report.ts";

const questions: readonly Question[] = [
  ingest,
  fanOut,
  types,
  catchUp,
  reconnectMany,
  behind,
  restart,
  dropOuts,
  stalled,
  claims,
  floods,
  connections,
  guards,
];

const usage = `npm run bench -- [question …] [--rounds 5] [--quick] [--profile]

${questions.map(({ name, asks }) => `  ${name.padEnd(16)}${asks}`).join("\n")}

  --rounds   how often every figure is taken, 1 to 100
  --quick    the smallest form, in seconds: shows that everything works, not how fast
  --profile  every server leaves a CPU profile in apps/bench/out/profiles`;

const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => ending.abort());

try {
  const { chosen, plan } = readArguments();
  for (const question of chosen) {
    console.log(`\n${question.name}: ${question.asks}\n`);
    const rows = await question.answer(plan);
    console.log(tableOf(rows));
    if (!plan.isQuick) await saveAnswer(question, plan, rows);
  }
} catch (error) {
  console.error(ending.signal.aborted ? "stopped" : error);
  process.exitCode = ending.signal.aborted ? 130 : 1;
}

function readArguments(): { chosen: readonly Question[]; plan: Plan } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
  const unknown = positionals.filter((name) => !questions.some((question) => question.name === name));
  const isUsable = unknown.length === 0 && Number.isInteger(rounds) && rounds >= 1 && rounds <= 100;
  if (!isUsable) throw new Error(usage);
  const plan: Plan = {
    rounds,
    durationMs: values.quick ? 100 : 1_000,
    isQuick: values.quick,
    isProfiled: values.profile,
    signal: ending.signal,
  };
  const chosen = questions.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  return { chosen, plan };
}
