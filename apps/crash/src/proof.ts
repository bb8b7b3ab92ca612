import { mkdir, mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import type { Finding } from "./finding.ts";

/** Where a proof has its processes' files. */
export interface Directories {
  readonly directory: string;
  readonly hubDirectory: string;
  readonly satelliteDirectory: string;
}

export interface Proof {
  readonly report: string;
  readonly findings: readonly Finding[];
}

/** Runs a main that proves something. SIGINT and SIGTERM abort its signal, and what it rejects with makes the exit code 1. */
export async function runProofs(main: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      process.exitCode = 128 + constants.signals[signal];
      ending.abort(new Error("stopped"));
    });
  }
  try {
    await main(ending.signal);
  } catch (error) {
    console.error(ending.signal.aborted ? "stopped" : error);
    process.exitCode ??= 1;
  }
}

/** Prints a proof's report. Where something was found, the exit code is 1, and the files are kept. */
export async function prove(
  signal: AbortSignal,
  run: (directories: Directories) => Promise<Proof>,
): Promise<void> {
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
    if (isKept && !signal.aborted) console.log(`\nThe files are kept: ${directory}`);
    else await rm(directory, { recursive: true });
  }
}
