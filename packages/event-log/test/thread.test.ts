import { Worker } from "node:worker_threads";
import { Thread } from "../src/thread.ts";
import { heardWarnings } from "./heard-warnings.ts";

/** Answers `{ echo }`, except to "die"; to "warn" after a warning. */
const program = `
  const { parentPort } = require("node:worker_threads");
  parentPort.on("message", (question) => {
    if (question === "die") throw new Error("out of paper");
    if (question === "warn") parentPort.postMessage({ warning: "little paper" });
    if (question === null) parentPort.close();
    else parentPort.postMessage({ value: { echo: question } });
  });
`;

const start = () => new Thread(new Worker(program, { eval: true }));

it("answers in the order of asking, also what was asked just before the end", async () => {
  const thread = start();
  const answers = Promise.all([1, 2, 3].map((question) => thread.ask(question)));
  await thread.end();
  expect(await answers).toEqual([{ echo: 1 }, { echo: 2 }, { echo: 3 }]);
});

it("fails with LOG_FAILED, and the cause, what a dying thread has not answered and what it is asked later", async () => {
  const thread = start();
  const died = { code: "LOG_FAILED", cause: expect.objectContaining({ message: "out of paper" }) };
  const [answered, ...pending] = [1, "die", 2, 3].map((question) => thread.ask(question));
  await expect(answered).resolves.toEqual({ echo: 1 });
  for (const one of await Promise.allSettled(pending)) {
    expect(one).toMatchObject({ status: "rejected", reason: died });
  }
  await expect(thread.ask(4)).rejects.toMatchObject(died);
  await thread.end();
});

it("says what a thread says unasked as a warning, which is no answer", async () => {
  using warnings = heardWarnings();
  const thread = start();
  expect(await thread.ask("warn")).toEqual({ echo: "warn" });
  expect(warnings.texts).toEqual(["little paper"]);
  await thread.end();
});
