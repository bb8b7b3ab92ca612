import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { prove, runProofs } from "../proof.ts";
import type { Mode } from "./cast.ts";
import { checkFuzz } from "./check.ts";
import { fuzzReportOf } from "./report.ts";
import { fuzz } from "./run.ts";

const usage = `npm run fuzz -- [--minutes 60] [--seed N] [--open]

Attackers say all that must not harm the hub, beside a bystander that must not notice.

  --minutes  the whole run, 0.1 to 10_000
  --seed     decides what is said, 0 to 4_294_967_295; default: by chance
  --open     the hub has no key, and believes whoever connects; default: it checks tokens`;

await runProofs(async (signal) => {
  const { minutes, seed, mode } = readArguments();
  console.log(`seed ${seed}`);
  await prove(signal, async ({ hubDirectory, satelliteDirectory }) => {
    const forMs = minutes * 60_000;
    const directories = { hubDirectory, satelliteDirectory };
    const evidence = await fuzz({ seed, mode, forMs, ...directories, signal, print: console.log });
    const findings = checkFuzz(evidence);
    return { report: fuzzReportOf(evidence, findings), findings };
  });
});

function readArguments() {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "60" },
      seed: { type: "string" },
      open: { type: "boolean", default: false },
    },
  });
  const minutes = Number(values.minutes);
  const seed = Number(values.seed ?? randomInt(2 ** 32));
  const isUsable =
    minutes >= 0.1 && minutes <= 10_000 && Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32;
  if (!isUsable) throw new Error(usage);
  const mode: Mode = values.open ? "open" : "tokens";
  return { minutes, seed, mode };
}
