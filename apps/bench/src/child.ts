import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What a program answers: questions by name. The child's side is `answerParent`. */
export type Answers = { readonly [question: string]: (...args: never[]) => unknown };

export interface Question {
  readonly name: string;
  readonly args: readonly unknown[];
}

export type Answer = { readonly value: unknown } | { readonly fault: string };

export interface ChildOptions {
  /** Ends the process at once. */
  readonly signal: AbortSignal;
  /** For Node itself, such as `--cpu-prof`. */
  readonly nodeArgs?: readonly string[];
}

/** No question of a benchmark takes longer. Milliseconds. */
const answerMs = 60_000;
/** From being let go to being killed: time to write a CPU profile. Milliseconds. */
const endMs = 10_000;

/** A process of our own that answers one question at a time. It ends when this one does, however that happens. */
export class Child<A extends Answers> implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #gone: Promise<void>;
  #waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void } | undefined;

  private constructor(process: ChildProcess, program: string) {
    this.#process = process;
    process.on("message", (answer: Answer) => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if ("fault" in answer) waiting?.reject(new Error(`${program}: ${answer.fault}`));
      else waiting?.resolve(answer.value);
    });
    this.#gone = new Promise((resolve) => {
      const isGone = () => {
        this.#waiting?.reject(new Error(`${program} has ended`));
        resolve();
      };
      process.on("exit", isGone).on("error", isGone);
    });
  }

  /** Starts a file of `src/programs`; resolves when it is ready to be asked. */
  static async start<A extends Answers>(
    program: string,
    args: readonly string[],
    { signal, nodeArgs = [] }: ChildOptions,
  ): Promise<Child<A>> {
    signal.throwIfAborted();
    const file = fileURLToPath(new URL(`./programs/${program}.ts`, import.meta.url));
    const execArgv = ["--conditions=@orrery/source", "--import", "tsx", ...nodeArgs];
    const options = { execArgv, signal, killSignal: "SIGKILL" } as const;
    const child = new Child<A>(fork(file, args, options), program);
    await child.#answer();
    return child;
  }

  async ask<Q extends keyof A & string>(
    name: Q,
    ...args: Parameters<A[Q]>
  ): Promise<Awaited<ReturnType<A[Q]>>> {
    const answer = this.#answer();
    this.#process.send({ name, args } satisfies Question);
    return (await answer) as Awaited<ReturnType<A[Q]>>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), endMs);
    if (this.#process.connected) this.#process.disconnect();
    await this.#gone;
    clearTimeout(timer);
  }

  async #answer(): Promise<unknown> {
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), answerMs);
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting = { resolve, reject };
      });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The child's side: answers the parent's questions, and ends the process when the parent lets it go or is gone. */
export function answerParent<A extends Answers>(answers: A, end: () => void = () => process.exit()): A {
  const say = (answer: Answer) => process.send?.(answer);
  const answer = async ({ name, args }: Question) => {
    try {
      say({ value: await answers[name]?.(...(args as never[])) });
    } catch (error) {
      say({ fault: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  };
  process.on("message", (question: Question) => void answer(question));
  process.on("disconnect", end);
  say({ value: null });
  return answers;
}
