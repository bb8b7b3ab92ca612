import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Lines } from "@orrery/process/testing";

/** A main of `src`, as `npm run` starts it, with a directory of its own for what it leaves. */
export async function command(main: string, ...args: readonly string[]) {
  const directory = await mkdtemp(join(tmpdir(), "orrery-crash-test-"));
  const file = fileURLToPath(new URL(`../src/${main}`, import.meta.url));
  const child = spawn(process.execPath, ["--conditions=@orrery/source", "--import", "tsx", file, ...args], {
    env: { PATH: process.env.PATH, TMPDIR: directory },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines = new Lines();
  for (const stream of [child.stdout, child.stderr]) createInterface(stream).on("line", lines.print);
  const ended = new Promise<number | string | null>((resolve) => {
    child.on("close", (code, signal) => resolve(code ?? signal));
  });
  return {
    pid: child.pid,
    lines,
    /** A line like this, before it ends. */
    async prints(pattern: RegExp) {
      await Promise.race([lines.seen(pattern), ended]);
      if (lines.matching(pattern).length === 0) throw new Error(lines.all.join("\n"));
    },
    /** With this code, or the test fails and shows all that was printed. */
    async exits(code: number) {
      expect([await ended, ...lines.all]).toEqual([code, ...lines.all]);
    },
    send: (signal: NodeJS.Signals) => child.kill(signal),
    /** The count beside these words. */
    counted(what: string): number {
      const line = lines.all.find((one) => one.startsWith(`${what}  `)) ?? "";
      return Number(line.slice(what.length).replaceAll(",", ""));
    },
    kept: async () => (await readdir(directory)).filter((name) => name.startsWith("orrery-crash-")),
    /** With SIGTERM, so that its own children are ended too. */
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
      await rm(directory, { recursive: true });
    },
  };
}
