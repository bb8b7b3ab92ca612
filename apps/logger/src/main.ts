import { satelliteId } from "@orrery/contracts";
import { parcels } from "@orrery/contracts/parcels";
import { readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { tokenSource, tokenVariables } from "@orrery/tokens";
import { z } from "zod";
import { printParcel } from "./parcel.ts";
import { startLogger } from "./start-logger.ts";
import { printWho } from "./who.ts";

await runProcess("logger", async ({ signal }) => {
  const environment = readEnvironment(
    z.object({
      HUB_URL: urlVariable.default("http://127.0.0.1:4170"),
      LOGGER_ID: z.string().regex(satelliteId, `expected ${satelliteId.source}`).optional(),
      LOGGER_FILE: z.string().default("./.orrery/events.jsonl"),
      LOGGER_PARCEL: z.string().optional(),
      LOGGER_WHO: z.enum(["all", ...parcels.roles]).optional(),
      ...tokenVariables,
    }),
  );
  const { HUB_URL: hubUrl, LOGGER_FILE: file, LOGGER_PARCEL: parcelId } = environment;
  const { LOGGER_WHO: role } = environment;
  const tokens = await tokenSource(environment, parcels.name);
  const id = environment.LOGGER_ID ?? tokens.only?.id ?? "logger";
  const credentials = tokens.credentialsOf({ role: "logger", id });
  if (parcelId !== undefined) {
    await printParcel({ hubUrl, credentials, parcelId, print: console.log, signal });
    return undefined;
  }
  if (role !== undefined) {
    await printWho({ hubUrl, credentials, role, print: console.log, signal });
    return undefined;
  }
  return startLogger({
    hubUrl,
    credentials,
    file,
    print: console.log,
    onFault(error) {
      queueMicrotask(() => {
        throw error; // ends the process
      });
    },
  });
});
