import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { followers, publishers } from "./cast.ts";
import { check } from "./check.ts";
import { crash } from "./crash.ts";
import { planOf } from "./plan.ts";
import { preparePower } from "./power.ts";
import { type Directories, type Proof, prove, runProofs } from "./proof.ts";
import { reportOf } from "./report.ts";
import { longSize, shortSize } from "./work/cast.ts";
import { checkWork } from "./work/check.ts";
import { planOf as workPlanOf } from "./work/plan.ts";
import { workReportOf } from "./work/report.ts";
import { runWork } from "./work/run.ts";

const usage = `npm run crash -- [--long] [--seed N] [--work | [--kills 5] [--power-loss [--no-fsync]]]

Two proofs: of what is said and followed, and of what drivers share as work.

  --work        the second alone; with any of the three below, the first alone
  --kills       how often the hub is killed, 0 to 1_000
  --long        100 times; 20 drivers and 10,000 pickups instead of 6 and 600
  --seed        decides what is killed when, 0 to 4_294_967_295; default: by chance
  --power-loss  with each kill the hub loses what it has not synced (Linux, needs cc)
  --no-fsync    … and it syncs nothing after its start: the proof must then fail`;

/** With `--no-fsync`: what each life of the hub syncs. Enough to make the log, so that the tail is lost and not all. */
const startSyncs = 20;

await runProofs(async (signal) => {
  const { seed, proofs, ...options } = readArguments();
  console.log(`seed ${seed}`);
  if (proofs.includes("said")) await prove(signal, (stage) => proveSaid(seed, options, stage, signal));
  signal.throwIfAborted();
  if (proofs.includes("work")) await prove(signal, (stage) => proveWork(seed, options.isLong, stage, signal));
});

async function proveSaid(
  seed: number,
  { kills, isPowerLost, isSynced }: Pick<Arguments, "kills" | "isPowerLost" | "isSynced">,
  { directory, hubDirectory, satelliteDirectory }: Directories,
  signal: AbortSignal,
): Promise<Proof> {
  const plan = planOf(
    seed,
    kills,
    [...publishers, ...followers].map(({ name }) => name),
  );
  const syncs = isSynced ? {} : { syncs: startSyncs };
  const power = isPowerLost
    ? { power: await preparePower({ directory: hubDirectory, libraryDirectory: directory, ...syncs }) }
    : {};
  const run = await crash({ plan, hubDirectory, satelliteDirectory, ...power, signal, print: console.log });
  const findings = check(run.evidence);
  return { report: reportOf(run.kills, run.evidence, findings), findings };
}

async function proveWork(
  seed: number,
  isLong: boolean,
  { hubDirectory, satelliteDirectory }: Directories,
  signal: AbortSignal,
): Promise<Proof> {
  const size = isLong ? longSize : shortSize;
  const plan = workPlanOf(seed, size);
  const evidence = await runWork({
    size,
    plan,
    hubDirectory,
    satelliteDirectory,
    signal,
    print: console.log,
  });
  const findings = checkWork(evidence);
  return { report: workReportOf(evidence, findings), findings };
}

interface Arguments {
  readonly seed: number;
  readonly proofs: readonly ("said" | "work")[];
  readonly kills: number;
  readonly isLong: boolean;
  readonly isPowerLost: boolean;
  readonly isSynced: boolean;
}

function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      work: { type: "boolean", default: false },
      kills: { type: "string" },
      long: { type: "boolean", default: false },
      seed: { type: "string" },
      "power-loss": { type: "boolean", default: false },
      "no-fsync": { type: "boolean", default: false },
    },
  });
  const isLong = values.long;
  const kills = Number(values.kills ?? (isLong ? 100 : 5));
  const seed = Number(values.seed ?? randomInt(2 ** 32));
  const isWhole = (value: number, most: number) => Number.isInteger(value) && value >= 0 && value <= most;
  const isPowerLost = values["power-loss"];
  const isSynced = !values["no-fsync"];
  const isSaidAlone = values.kills !== undefined || isPowerLost;
  const isUsable =
    isWhole(kills, 1_000) &&
    isWhole(seed, 2 ** 32 - 1) &&
    (isSynced || isPowerLost) &&
    !(values.work && isSaidAlone);
  if (!isUsable) throw new Error(usage);
  const proofs = values.work
    ? (["work"] as const)
    : isSaidAlone
      ? (["said"] as const)
      : (["said", "work"] as const);
  return { seed, proofs, kills, isLong, isPowerLost, isSynced };
}
