import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** What something prints, line by line, and a way to wait for it. */
export class Lines {
  readonly all: string[] = [];
  readonly #looking = new Set<() => void>();

  readonly print = (text: string): void => {
    this.all.push(...text.split("\n"));
    for (const look of this.#looking) look();
  };

  matching(pattern: RegExp): string[] {
    return this.all.filter((line) => pattern.test(line));
  }

  /** Resolves when so many lines match, from the first one printed on. */
  async seen(pattern: RegExp, times = 1): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = () => {
        if (this.matching(pattern).length < times) return;
        this.#looking.delete(look);
        resolve();
      };
      this.#looking.add(look);
      look();
    });
  }
}

/** A `main.ts` in a process of its own, from its sources, with this environment alone; killed when the test is over. */
export function runMain(main: URL, env: Readonly<Record<string, string>>) {
  const child = spawn(
    process.execPath,
    ["--conditions=@orrery/source", "--import", "tsx", fileURLToPath(main)],
    { env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] },
  );
  const lines = new Lines();
  for (const stream of [child.stdout, child.stderr]) createInterface(stream).on("line", lines.print);
  /** The exit code, or the signal that ended it. */
  const ended = new Promise<number | string | null>((resolve) => {
    child.on("close", (code, signal) => resolve(code ?? signal));
  });
  return {
    lines,
    ended,
    send: (signal: NodeJS.Signals) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
