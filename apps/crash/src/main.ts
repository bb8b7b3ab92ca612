import { randomInt } from "node:crypto";
import { mkdir, mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { followers, publishers } from "./cast.ts";
import { check } from "./check.ts";
import { crash } from "./crash.ts";
import type { Finding } from "./finding.ts";
import { planOf } from "./plan.ts";
import { preparePower } from "./power.ts";
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

const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    process.exitCode = 128 + constants.signals[signal];
    ending.abort(new Error("stopped"));
  });
}

try {
  await main();
} catch (error) {
  console.error(ending.signal.aborted ? "stopped" : error);
  process.exitCode ??= 1;
}

async function main(): Promise<void> {
  const { seed, proofs, ...options } = readArguments();
  console.log(`seed ${seed}`);
  if (proofs.includes("said")) await prove((stage) => proveSaid(seed, options, stage));
  if (ending.signal.aborted) throw ending.signal.reason;
  if (proofs.includes("work")) await prove((stage) => proveWork(seed, options.isLong, stage));
}

/** Where a proof has its processes' files. */
interface Directories {
  readonly directory: string;
  readonly hubDirectory: string;
  readonly satelliteDirectory: string;
}

interface Proof {
  readonly report: string;
  readonly findings: readonly Finding[];
}

async function prove(run: (directories: Directories) => Promise<Proof>): Promise<void> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), "orrery-crash-")));
  const [hubDirectory, satelliteDirectory] = [join(directory, "hub"), join(directory, "satellites")];
  let isKept = true;
  try {
    await Promise.all([mkdir(hubDirectory), mkdir(satelliteDirectory)]);
    const { report, findings } = await run({ directory, hubDirectory, satelliteDirectory });
    console.log(`\n${report}\n`);
    isKept = findings.some(({ count }) => count > 0);
    if (isKept) process.exitCode = 1;
  } catch (error) {
    isKept = (await readdir(hubDirectory)).length > 0; // otherwise nothing was started
    throw error;
  } finally {
    if (isKept && !ending.signal.aborted) console.log(`\nThe files are kept: ${directory}`);
    else await rm(directory, { recursive: true });
  }
}

async function proveSaid(
  seed: number,
  { kills, isPowerLost, isSynced }: Pick<Arguments, "kills" | "isPowerLost" | "isSynced">,
  { directory, hubDirectory, satelliteDirectory }: Directories,
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
  const { signal } = ending;
  const run = await crash({ plan, hubDirectory, satelliteDirectory, ...power, signal, print: console.log });
  const findings = check(run.evidence);
  return { report: reportOf(run.kills, run.evidence, findings), findings };
}

async function proveWork(
  seed: number,
  isLong: boolean,
  { hubDirectory, satelliteDirectory }: Directories,
): Promise<Proof> {
  const size = isLong ? longSize : shortSize;
  const plan = workPlanOf(seed, size);
  const { signal } = ending;
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
