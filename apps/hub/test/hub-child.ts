import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

/** The hub as a process of its own. */
export class HubChild implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly #output: string[] = [];
  readonly #exit: Promise<number | null>;

  constructor(environment: Record<string, string>) {
    const { PATH = "" } = process.env;
    this.process = spawn(process.execPath, ["--conditions=@orrery/source", "--import", "tsx", main], {
      env: { PATH, HUB_PORT: "0", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.#output.push(line));
    }
    this.#exit = once(this.process, "close").then(([code]) => code as number | null);
  }

  get output(): string {
    return this.#output.join("\n");
  }

  /** Where it listens; rejects when it ends before. */
  async url(): Promise<string> {
    for (;;) {
      const line = this.#output.find((text) => text.includes("the hub listens"));
      if (line !== undefined) return JSON.parse(line).url;
      if (this.process.exitCode !== null) throw new Error(`the hub ended: ${this.output}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The exit code, or null where a signal ended it. */
  exit(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal !== undefined) this.process.kill(signal);
    return this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.exit("SIGKILL");
  }
}

export async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "orrery-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
