import { basename } from "node:path";
import { satelliteId } from "@orrery/contracts";
import { parcels } from "@orrery/contracts/parcels";
import { type Order, readOrders, speedVariable } from "@orrery/order-file";
import { positiveVariable, readEnvironment, runProcess, urlVariable, variable } from "@orrery/process";
import { tokenSource, tokenVariables } from "@orrery/tokens";
import { z } from "zod";
import { journeysOf } from "./journey.ts";
import { startDriver } from "./start-driver.ts";

const print = console.log;

const wholeVariable = (least: number, most: number) =>
  variable(`a whole number from ${least} to ${most}`, (text) => {
    const number = Number(text);
    return /^\d+$/.test(text) && number >= least && number <= most ? number : undefined;
  });

await runProcess("driver", async () => {
  const environment = readEnvironment(
    z.object({
      HUB_URL: urlVariable.default("http://127.0.0.1:4170"),
      /** Room for `-100` behind it. */
      DRIVER_ID: z
        .string()
        .regex(satelliteId, `expected ${satelliteId.source}`)
        .max(60, "expected 60 characters at most")
        .optional(),
      DRIVER_COUNT: wholeVariable(1, 100).default(1),
      /**
       * Parcels in hand at once, of each driver. The recorded orders have 496 on their way at most, so that none waits for
       * another one's journey. A parcel in hand costs a timer here, and a place in a renewal every third of a lease.
       */
      DRIVER_CAPACITY: wholeVariable(1, 10_000).default(1_000),
      /** Hub and drivers stopped together, as by Ctrl-C, leave parcels in hand: they wait for it when both are back. */
      DRIVER_LEASE_MS: wholeVariable(100, 600_000).default(10_000),
      DRIVER_PACE_MS: positiveVariable.default(2_000),
      DRIVER_ORDERS: z.string().optional(),
      DRIVER_SPEED: speedVariable.default(2),
      ...tokenVariables,
    }),
  );
  const { HUB_URL: hubUrl, DRIVER_ORDERS: file } = environment;
  const tokens = await tokenSource(environment, parcels.name);
  const { DRIVER_COUNT: count, DRIVER_ID: name = count === 1 ? tokens.only?.id : undefined } = environment;
  const driverIds = idsOf(count, name);
  const crew = driverIds.map((driverId) => ({
    driverId,
    credentials: tokens.credentialsOf({ role: "driver", id: driverId }),
  }));
  const orders = file === undefined ? [] : await readReported(file);
  print(`Driving as ${driverIds.join(", ")} in process ${process.pid}, for the hub at ${hubUrl}`);
  const journeyOf = journeysOf({
    orders,
    secondsPerDay: environment.DRIVER_SPEED,
    paceMs: environment.DRIVER_PACE_MS,
  });
  const drivers = crew.map((driver) =>
    startDriver({
      hubUrl,
      ...driver,
      journeyOf,
      capacity: environment.DRIVER_CAPACITY,
      leaseMs: environment.DRIVER_LEASE_MS,
      print,
      onFault(error) {
        queueMicrotask(() => {
          throw error; // ends the process
        });
      },
    }),
  );
  return {
    async stop() {
      await Promise.all(drivers.map((driver) => driver.stop()));
    },
  };
});

/** d1, d2, …; with a name of its own, that one alone, or name-1, name-2, … */
function idsOf(count: number, name?: string): string[] {
  if (count === 1) return [name ?? "d1"];
  const prefix = name === undefined ? "d" : `${name}-`;
  return Array.from({ length: count }, (_, place) => `${prefix}${place + 1}`);
}

async function readReported(file: string): Promise<Order[]> {
  const { orders, faults } = await readOrders(file);
  for (const { line, message } of faults) print(`${basename(file)} line ${line}: ${message}, skipped`);
  return orders;
}
