import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const fixture = fileURLToPath(new URL("./fixtures/mains.ts", import.meta.url));

class Run {
  readonly lines: string[] = [];
  stderr = "";
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | string | null>;
  readonly #waiting = new Map<string, () => void>();

  constructor(which: string, env: Record<string, string> = {}) {
    this.#child = spawn(
      process.execPath,
      ["--conditions=@orrery/source", "--import", "tsx", fixture, which],
      {
        env: { ...process.env, NO_COLOR: "1", ...env },
        stdio: ["pipe", "pipe", "pipe"],
        timeout: 20_000, // for one that does not end, and would keep the tests from ending
        killSignal: "SIGKILL",
      },
    );
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error("the child has no pipes");
    createInterface(stdout).on("line", (line) => {
      this.lines.push(line);
      this.#waiting.get(line)?.();
    });
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.#closed = new Promise((resolve) => {
      this.#child.on("close", (code, signal) => resolve(code ?? signal));
    });
  }

  /** Resolves when the process has said this line, or has ended. */
  async said(line: string): Promise<void> {
    const heard = new Promise<void>((resolve) => this.#waiting.set(line, resolve));
    if (!this.lines.includes(line)) await Promise.race([heard, this.#closed]);
  }

  send(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The exit code, or the signal that killed the process. */
  ended(): Promise<number | string | null> {
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}

describe("a process that is told to end", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "waits for stop() after %s and ends with code 0",
    async (signal) => {
      await using run = new Run("stops well");
      await run.said("ready");
      run.send(signal);
      expect(await run.ended()).toBe(0);
      expect(run.lines).toEqual(["ready", "stopping", "stopped"]);
      expect(run.stderr).toBe("");
    },
  );

  it("ends although something was left open", async () => {
    await using run = new Run("leaves something open");
    await run.said("ready");
    run.send("SIGTERM");
    expect(await run.ended()).toBe(0);
    expect(run.lines).toEqual(["ready", "stopped"]);
  });

  it("ends with code 1 and says so when stop() takes longer than it may", async () => {
    await using run = new Run("never stops");
    await run.said("ready");
    run.send("SIGTERM");
    expect(await run.ended()).toBe(1);
    expect(run.stderr).toBe("vendor: did not stop within 50 ms\n");
  });

  it("ends with code 1 and prints why when stop() rejects", async () => {
    await using run = new Run("stops badly");
    await run.said("ready");
    run.send("SIGTERM");
    expect(await run.ended()).toBe(1);
    expect(run.stderr).toMatch(/^vendor: Error: the outbox is lost\n {4}at /);
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("ends at once on a second %s, with code %i", async (signal, exitCode) => {
    await using run = new Run("stops slowly");
    await run.said("ready");
    run.send(signal);
    await run.said("still stopping");
    run.send(signal);
    expect(await run.ended()).toBe(exitCode);
  });

  it("does not wait for a thread that is held in the system, upon a second signal or after the time that stop() may take", async () => {
    await using first = new Run("has a thread that is held");
    await first.said("ready");
    first.send("SIGINT");
    await first.said("still stopping");
    first.send("SIGINT");
    expect(await first.ended()).toBe(130);
    await using second = new Run("has a thread that is held for too long");
    await second.said("ready");
    second.send("SIGINT");
    expect(await second.ended()).toBe(1);
    expect([first.stderr, second.stderr]).toEqual(["", "vendor: did not stop within 50 ms\n"]);
  });

  it("takes a signal that arrives twice at once, as under tsx watch, for one", async () => {
    await using run = new Run("stops well");
    await run.said("ready");
    run.send("SIGINT");
    await run.said("stopping");
    run.send("SIGINT");
    expect(await run.ended()).toBe(0);
    expect(run.lines).toEqual(["ready", "stopping", "stopped"]);
  });

  it("aborts the signal of a main that is still starting, which is no fault", async () => {
    await using run = new Run("starts slowly");
    await run.said("ready");
    run.send("SIGTERM");
    expect(await run.ended()).toBe(0);
    expect(run.stderr).toBe("");
  });

  it("stops a main that finished starting only after it was told to end", async () => {
    await using run = new Run("starts too late");
    await run.said("ready");
    run.send("SIGTERM");
    expect(await run.ended()).toBe(0);
    expect(run.lines).toEqual(["ready", "stopped"]);
  });
});

describe("a process on its own", () => {
  it("ends by itself, with code 0, when nothing is left to do", async () => {
    await using run = new Run("has nothing to do");
    expect(await run.ended()).toBe(0);
    expect(run.lines).toEqual(["done"]);
  });

  it("prints why main rejected, with stack and cause, and ends with code 1", async () => {
    await using run = new Run("fails to start");
    expect(await run.ended()).toBe(1);
    expect(run.stderr).toMatch(/^vendor: Error: no hub there\n {4}at /);
    expect(run.stderr).toContain("[cause]: Error: connection refused");
  });

  it("lists every fault of the environment, without a stack, and ends with code 78", async () => {
    await using run = new Run("is set up badly", { HUB_PORT: "abc", HUB_KEY: "hunter2" });
    expect(await run.ended()).toBe(78);
    expect(run.stderr.split("\n")).toEqual([
      "vendor: CONFIG_INVALID: The environment is not usable.",
      'HUB_PORT: expected a whole number from 0 to 65535, got "abc"',
      "HUB_KEY: expected a whole number from 0 to 65535",
      "",
    ]);
  });

  it.each([
    ["finds its port taken", /^vendor: EADDRINUSE: address already in use 127\.0\.0\.1:\d+\n$/],
    [
      "finds a file where a directory should be",
      /^vendor: ENOTDIR: not a directory, scandir '.*mains\.ts'\n$/,
    ],
    ["is refused", /^vendor: HANDSHAKE_INVALID: The handshake is not usable\. token: missing \(no key\)\n$/],
  ])("that %s says so once, in a line without a stack, and ends with code 1", async (which, line) => {
    await using run = new Run(which);
    expect(await run.ended()).toBe(1);
    expect(run.stderr).toMatch(line);
  });

  it.each([
    ["throws later", "a bug in a listener"],
    ["rejects later", "a bug in a handler"],
  ])("that %s prints it, stops, and ends with code 1", async (which, message) => {
    await using run = new Run(which);
    expect(await run.ended()).toBe(1);
    expect(run.lines).toEqual(["stopped"]);
    expect(run.stderr).toMatch(new RegExp(`^vendor: Error: ${message}\n {4}at `));
  });
});
