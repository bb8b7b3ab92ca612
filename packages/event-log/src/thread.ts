import type { Worker } from "node:worker_threads";
import { type ErrorCode, OrreryError } from "@orrery/contracts";

/** What a thread says to a question. */
export type Answer =
  | { readonly value: object }
  | { readonly code: ErrorCode; readonly detail?: string; readonly cause?: unknown };

/** What a thread says unasked: it becomes a warning of the process, so that whoever runs it may log it. */
export interface Warning {
  readonly warning: string;
}

/** An answer on the thread's side, with the buffers in it that need not be copied. */
export interface Answered<Value> {
  readonly value: Value;
  readonly transferred: readonly ArrayBuffer[];
}

interface Waiting {
  readonly resolve: (value: object) => void;
  readonly reject: (error: OrreryError) => void;
}

/** A thread that answers each question, in the order of asking. */
export class Thread {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  readonly #gone: Promise<void>;
  #isGone = false;
  #cause: unknown;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on("message", (said: Answer | Warning) => {
      if ("warning" in said) process.emitWarning(said.warning, "OrreryWarning");
      else this.#settle(said);
    });
    worker.on("error", (cause) => {
      this.#cause = cause;
    });
    // An answer got lost, so those behind it would meet the wrong questions.
    worker.on("messageerror", (cause) => {
      this.#cause = cause;
      void worker.terminate();
    });
    this.#gone = new Promise((resolve) => {
      worker.on("exit", () => {
        this.#isGone = true;
        for (const { reject } of this.#waiting.splice(0)) reject(this.#death());
        resolve();
      });
    });
  }

  /** Fails with the code that the thread gives, or with `LOG_FAILED` where it dies before it has answered. */
  async ask<Value extends object>(
    question: unknown,
    transferred: readonly ArrayBuffer[] = [],
  ): Promise<Value> {
    if (this.#isGone) throw this.#death();
    return new Promise<object>((resolve, reject) => {
      this.#worker.postMessage(question, transferred);
      this.#waiting.push({ resolve, reject });
    }) as Promise<Value>;
  }

  /** Lets the thread answer what it was asked and then end. Resolves when it is gone. */
  async end(): Promise<void> {
    this.#worker.postMessage(null);
    await this.#gone;
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.shift();
    if ("value" in answer) waiting?.resolve(answer.value);
    else waiting?.reject(new OrreryError(answer.code, answer));
  }

  #death(): OrreryError {
    return new OrreryError("LOG_FAILED", { detail: "Its thread has ended.", cause: this.#cause });
  }
}
