import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Refusal } from "./sqlite-file.ts";
import { openReader } from "./sqlite-reader.ts";
import { openWriter } from "./sqlite-writer.ts";
import type { Answer, Answered, Warning } from "./thread.ts";

interface Part {
  readonly opened: object;
  answer(question: never): Answered<object>;
  /** A step of what the part does unasked, where one is due. Whether another one is. */
  readonly work?: () => boolean;
  close(): void;
}

/** How often a part that nobody asks anything looks whether a step is due. */
const lookEveryMs = 1_000;

/** The first question says what to open; `null` is the last one. */
function serve(port: MessagePort, open: (options: never) => Part): void {
  let part: Part | undefined;
  let steps: Steps | undefined;
  const say = (said: Answer | Warning, transferred: readonly ArrayBuffer[] = []) =>
    port.postMessage(said, transferred);
  const answer = (question: never) => {
    if (part === undefined) {
      part = open(question);
      if (part.work !== undefined) steps = new Steps(part.work, (warning) => say({ warning }));
      say({ value: part.opened });
    } else {
      const { value, transferred } = part.answer(question);
      say({ value }, transferred);
    }
  };
  port.on("message", (question) => {
    if (question === null) {
      steps?.end();
      part?.close();
      port.close();
      return;
    }
    try {
      answer(question as never);
    } catch (error) {
      if (error instanceof Refusal) say({ code: error.code, detail: error.message });
      else say({ code: "LOG_FAILED", cause: error });
    }
    steps?.next();
  });
}

/**
 * Steps of a part's work between its questions: one behind each question, since a flood of them leaves the event loop no
 * other turn, and while there are none one after the other, each in a turn of its own.
 */
class Steps {
  readonly #work: () => boolean;
  readonly #warn: (text: string) => void;
  readonly #timer = setInterval(() => this.#step(), lookEveryMs).unref();
  #following: NodeJS.Immediate | undefined;
  #hasFailed = false;

  constructor(work: () => boolean, warn: (text: string) => void) {
    this.#work = work;
    this.#warn = warn;
  }

  /** After a failure the timer alone tries again. */
  next(): void {
    if (!this.#hasFailed) this.#step();
  }

  end(): void {
    clearInterval(this.#timer);
    clearImmediate(this.#following);
  }

  #step(): void {
    clearImmediate(this.#following);
    try {
      const isMore = this.#work();
      if (isMore) this.#following = setImmediate(() => this.#step());
      this.#hasFailed = false;
    } catch (error) {
      // Nobody waits for an answer that could carry it. A disk that fails will refuse the next batch as well.
      if (!this.#hasFailed)
        this.#warn(`The log's retention failed and will be tried again: ${String(error)}`);
      this.#hasFailed = true;
    }
  }
}

if (parentPort !== null) serve(parentPort, workerData === "writer" ? openWriter : openReader);
