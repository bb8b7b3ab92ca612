import { satelliteId } from "@orrery/contracts";
import { readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { z } from "zod";
import { startLogger } from "./start-logger.ts";

await runProcess("logger", async () => {
  const environment = readEnvironment(
    z.object({
      HUB_URL: urlVariable.default("http://127.0.0.1:4170"),
      LOGGER_ID: z.string().regex(satelliteId, `expected ${satelliteId.source}`).default("logger"),
      LOGGER_FILE: z.string().default("./.orrery/events.jsonl"),
    }),
  );
  return startLogger({
    hubUrl: environment.HUB_URL,
    loggerId: environment.LOGGER_ID,
    file: environment.LOGGER_FILE,
    print: console.log,
    onFault(error) {
      queueMicrotask(() => {
        throw error; // ends the process
      });
    },
  });
});
