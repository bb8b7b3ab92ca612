import { randomInt } from "node:crypto";
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { followers, publishers } from "./cast.ts";
import { check } from "./check.ts";
import { crash } from "./crash.ts";
import { planOf } from "./plan.ts";
import { preparePower } from "./power.ts";
import { reportOf } from "./report.ts";

const usage = `npm run crash -- [--kills 5 | --long] [--seed N] [--power-loss [--no-fsync]]

  --kills       how often the hub is killed, 0 to 1_000
  --long        100 times
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
  const { seed, kills, isPowerLost, isSynced } = readArguments();
  const plan = planOf(
    seed,
    kills,
    [...publishers, ...followers].map(({ name }) => name),
  );
  const directory = await realpath(await mkdtemp(join(tmpdir(), "orrery-crash-")));
  const [hubDirectory, satelliteDirectory] = [join(directory, "hub"), join(directory, "satellites")];
  let isKept = false;
  try {
    await Promise.all([mkdir(hubDirectory), mkdir(satelliteDirectory)]);
    const syncs = isSynced ? {} : { syncs: startSyncs };
    const power = isPowerLost
      ? { power: await preparePower({ directory: hubDirectory, libraryDirectory: directory, ...syncs }) }
      : {};
    console.log(`seed ${seed}`);
    isKept = true;
    const signal = ending.signal;
    const run = await crash({ plan, hubDirectory, satelliteDirectory, ...power, signal, print: console.log });
    const findings = check(run.evidence);
    console.log(`\n${reportOf(run.kills, run.evidence, findings)}`);
    isKept = findings.some(({ count }) => count > 0);
    if (isKept) process.exitCode = 1;
  } finally {
    if (isKept && !ending.signal.aborted) console.log(`\nThe files are kept: ${directory}`);
    else await rm(directory, { recursive: true });
  }
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      kills: { type: "string" },
      long: { type: "boolean", default: false },
      seed: { type: "string" },
      "power-loss": { type: "boolean", default: false },
      "no-fsync": { type: "boolean", default: false },
    },
  });
  const kills = Number(values.kills ?? (values.long ? 100 : 5));
  const seed = Number(values.seed ?? randomInt(2 ** 32));
  const isWhole = (value: number, most: number) => Number.isInteger(value) && value >= 0 && value <= most;
  const isPowerLost = values["power-loss"];
  const isSynced = !values["no-fsync"];
  const isUsable = isWhole(kills, 1_000) && isWhole(seed, 2 ** 32 - 1) && (isSynced || isPowerLost);
  if (!isUsable) throw new Error(usage);
  return { seed, kills, isPowerLost, isSynced };
}
