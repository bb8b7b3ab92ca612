import { inspect } from "node:util";

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
 * - When main rejects, the error is printed to stderr and the code is 1. A fault with code `CONFIG_INVALID` is printed
 *   without its stack and the code is 78.
 * - An uncaught exception or rejection is printed likewise, calls `stop()`, and ends the process with the same codes.
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
  let firstSignalMs: number | undefined;

  const fail = (error: unknown) => {
    const isConfig = error instanceof Error && "code" in error && error.code === "CONFIG_INVALID";
    console.error(`${name}: ${isConfig ? error.message : inspect(error)}`);
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
      process.exit(1);
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
      if (nowMs - firstSignalMs >= repeatMs) process.exit(exitCode);
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
