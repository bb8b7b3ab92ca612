import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Refusal } from "./sqlite-file.ts";
import { openReader } from "./sqlite-reader.ts";
import { openWriter } from "./sqlite-writer.ts";
import type { Answer, Answered } from "./thread.ts";

interface Part {
  readonly opened: object;
  answer(question: unknown): Answered<object>;
  close(): void;
}

/** The first question is the file to open; `null` is the last one. */
function serve(port: MessagePort, open: (file: string) => Part): void {
  let part: Part | undefined;
  const say = (answer: Answer, transferred: readonly ArrayBuffer[] = []) =>
    port.postMessage(answer, transferred);
  port.on("message", (question) => {
    if (question === null) {
      part?.close();
      port.close();
      return;
    }
    try {
      if (part === undefined) {
        part = open(question);
        say({ value: part.opened });
      } else {
        const { value, transferred } = part.answer(question);
        say({ value }, transferred);
      }
    } catch (error) {
      if (error instanceof Refusal) say({ code: error.code, detail: error.message });
      else say({ code: "LOG_FAILED", cause: error });
    }
  });
}

if (parentPort !== null) serve(parentPort, workerData === "writer" ? openWriter : openReader);
