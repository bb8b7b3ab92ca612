import { parcels } from "@orrery/contracts/parcels";
import { readEnvironment, runProcess } from "@orrery/process";
import pino from "pino";
import { HubEnvironment } from "./environment.ts";
import { startHubProcess } from "./hub-process.ts";

await runProcess("hub", async () => {
  const environment = readEnvironment(HubEnvironment);
  const logger = pino({ name: "hub", level: environment.LOG_LEVEL });
  return startHubProcess(environment, [parcels], logger);
});
