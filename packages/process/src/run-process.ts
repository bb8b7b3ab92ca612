import { inspect } from "node:util";
import { reasonOf } from "./reason.ts";

/** What a main gives back when it has started and goes on running. */
export interface Running {
  /** Called once at most. Its rejection is printed, and makes the exit code 1. */
  stop(): Promise<void> | void;
}

export interface RunOptions {
  /**
   * How long start and `stop()` together may take once the process is told to end. Milliseconds, default 4_000: `tsx
   * watch` kills after 5 seconds, docker after 10. Past it the process ends with code 1.
   */
  readonly stopMs?: number;
}

/** 128 and the signal's number, as shells report it. */
const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
/** EX_CONFIG of sysexits.h. A supervisor can tell from it that starting again will not help. */
const configExitCode = 78;
/** One Ctrl-C under `tsx watch` arrives twice, 1 ms apart (from the terminal and from tsx): not yet a second one. */
const repeatMs = 250;
/** What is still open this long after the end is left behind. */
const lingerMs = 500;

/**
 * Runs a process's main: `await runProcess("vendor", async () => { …; return { stop: async () => … }; })`. Resolves when
 * main has started, or has failed to; never rejects. A process with nothing left to do ends by itself, without `stop()`.
 *
 * - SIGINT and SIGTERM call `stop()`, after main has started, and end the process with code 0. A second one ends it at
 *   once with 130 or 143.
 * - When main rejects, the error is printed to stderr and the code is 1, with code `CONFIG_INVALID` 78. An `OrreryError` and what
 *   the system refuses (a port that is taken, a file that is not there) are printed as code and reason, anything else with its stack.
 * - An uncaught exception or rejection is printed likewise, calls `stop()`, and ends the process with the same codes. What several
 *   say in the same words is printed once.
 *
 * `signal` is aborted as soon as the process is to end, for a main that waits while it starts; an `AbortError` from it is
 * then no fault. Whatever is left open, the process ends.
 */
export async function runProcess(
  name: string,
  main: (start: { readonly signal: AbortSignal }) => Promise<Running | undefined>,
  { stopMs = 4_000 }: RunOptions = {},
): Promise<void> {
  const ending = new AbortController();
  const told = new Set<string>();
  let firstSignalMs: number | undefined;

  const fail = (error: unknown) => {
    const isConfig = error instanceof Error && "code" in error && error.code === "CONFIG_INVALID";
    const text = reasonOf(error) ?? inspect(error);
    if (!told.has(text)) console.error(`${name}: ${text}`);
    told.add(text);
    process.exitCode = isConfig ? configExitCode : 1;
  };
  const end = () => {
    setTimeout(() => process.exit(), lingerMs).unref();
  };
  const stop = async () => {
    if (ending.signal.aborted) return;
    ending.abort();
    const deadline = setTimeout(() => {
      console.error(`${name}: did not stop within ${stopMs} ms`);
      exitNow(1);
    }, stopMs);
    try {
      const running = await started.catch(() => undefined); // reported below
      await running?.stop();
    } catch (error) {
      fail(error);
    }
    clearTimeout(deadline);
    end();
  };

  for (const [signal, exitCode] of Object.entries(exitCodes)) {
    process.on(signal, () => {
      const nowMs = performance.now();
      firstSignalMs ??= nowMs;
      if (nowMs - firstSignalMs >= repeatMs) exitNow(exitCode);
      void stop();
    });
  }
  // Rejections that nobody handles arrive here too: that is Node's default.
  process.on("uncaughtException", (error) => {
    fail(error);
    void stop();
  });

  const started = (async () => main({ signal: ending.signal }))();
  try {
    await started;
  } catch (error) {
    const isAbort = ending.signal.aborted && error instanceof Error && error.name === "AbortError";
    if (!isAbort) fail(error);
    ending.abort();
    end();
  }
}

/** The types of Node 20 leave it to a browser's. */
declare const WebAssembly: { readonly Memory: new (size: { readonly initial: number }) => object };

/**
 * Ends the process whatever its threads do. `process.exit` waits until they come back from native code, which a slow disk may
 * keep them in, and in SQLite's they then abort the process: code 134 in 10 of 25 tries with a hub under load. So behind the
 * listeners of `exit` comes C's own `exit`, which WASI alone offers: the right code in 70 of 70.
 */
function exitNow(exitCode: number): void {
  process.once("exit", () => {
    // Not imported, since that warns that it is experimental.
    const { WASI } = process.getBuiltinModule("node:wasi");
    const wasi = new WASI({ version: "preview1", returnOnExit: false });
    const memory = new WebAssembly.Memory({ initial: 1 });
    wasi.start({ exports: { memory, _start: () => wasi.wasiImport.proc_exit(exitCode) } });
  });
  process.exit(exitCode);
}
