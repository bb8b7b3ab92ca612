import { basename } from "node:path";
import { satelliteId } from "@orrery/contracts";
import { type Order, readOrders, speedVariable } from "@orrery/order-file";
import { positiveVariable, readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { z } from "zod";
import { journeysOf } from "./journey.ts";
import { startDriver } from "./start-driver.ts";

const print = console.log;

await runProcess("driver", async () => {
  const environment = readEnvironment(
    z.object({
      HUB_URL: urlVariable.default("http://127.0.0.1:4170"),
      DRIVER_ID: z.string().regex(satelliteId, `expected ${satelliteId.source}`).default("d1"),
      DRIVER_PACE_MS: positiveVariable.default(2_000),
      DRIVER_ORDERS: z.string().optional(),
      DRIVER_SPEED: speedVariable.default(2),
    }),
  );
  const { HUB_URL: hubUrl, DRIVER_ID: driverId, DRIVER_ORDERS: file } = environment;
  const orders = file === undefined ? [] : await readReported(file);
  print(`Driver ${driverId}, for the hub at ${hubUrl}`);
  const journeyOf = journeysOf({
    orders,
    secondsPerDay: environment.DRIVER_SPEED,
    paceMs: environment.DRIVER_PACE_MS,
  });
  return startDriver({
    hubUrl,
    driverId,
    journeyOf,
    print,
    onFault(error) {
      queueMicrotask(() => {
        throw error; // ends the process
      });
    },
  });
});

async function readReported(file: string): Promise<Order[]> {
  const { orders, faults } = await readOrders(file);
  for (const { line, message } of faults) print(`${basename(file)} line ${line}: ${message}, skipped`);
  return orders;
}
