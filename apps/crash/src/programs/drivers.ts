// Several drivers that share the work with those of other processes. Writes down what happens to each claim. Upon SIGTERM it
// goes on until the group has nothing left, and then ends.
import { openSync, writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { OrreryError } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { connect, type Satellite } from "@orrery/satellite";
import { z } from "zod";
import { finishMs } from "../cast.ts";
import { driversOf, group, holdingLine, type Trace, terms, tracesFile, workMs } from "../work/cast.ts";
import { endWithParent } from "./end-with-parent.ts";

/** Between two looks at what is left. Milliseconds. */
const lookMs = 100;

const isLeaseLost = (error: unknown) => error instanceof OrreryError && error.code === "LEASE_LOST";

endWithParent();
await runProcess(
  "drivers",
  async () => {
    console.log("started");
    const { HUB_URL, DIRECTORY, NAME, LIFE, DRIVERS, MOST_WORK_MS, CLOCK } = readEnvironment(
      z.object({
        HUB_URL: urlVariable,
        DIRECTORY: z.string(),
        NAME: z.string(),
        LIFE: z.coerce.number().int().positive(),
        DRIVERS: z.coerce.number().int().positive(),
        MOST_WORK_MS: z.coerce.number().int().positive(),
        /** `still`: as on a machine that sleeps, time goes by unseen, so that the hub alone keeps what is late from counting. */
        CLOCK: z.enum(["right", "still"]),
      }),
    );
    if (CLOCK === "still") performance.now = () => 0; // what the satellite package tells by that leases are over
    const traces = openSync(tracesFile(DIRECTORY, LIFE), "ax");
    const write = (trace: Trace) => writeSync(traces, `${JSON.stringify(trace)}\n`);

    let held = 0;
    const hold = (more: 1 | -1) => {
      held += more;
      if (held === (more === 1 ? 1 : 0)) console.log(holdingLine(held > 0));
    };

    const drivers = driversOf(NAME, DRIVERS).map((driver) => {
      const satellite = connect(parcels, {
        url: HUB_URL,
        role: "driver",
        id: driver,
        onError(error) {
          if (!isLeaseLost(error)) throw error;
        },
      });
      const working = satellite.work(
        "pickup",
        { group, from: "start", ...terms },
        async (parcel, context) => {
          const { offset, attempt } = context.meta;
          const told = () => ({ driver, offset, attempt, atMs: Date.now() });
          // The attempt goes with what is said, so that the log tells which one said it.
          const said = {
            ...parcel,
            driverId: driver,
            customer: { ...parcel.customer, name: String(attempt) },
          };
          const time = () => new Date().toISOString();
          const partMs = workMs(offset, MOST_WORK_MS) / 2;
          write({ ...told(), what: "claimed" });
          hold(1);
          try {
            await pause(partMs); // not told of the signal: the harder case
            const collected = await context.emit("in-transit", { ...said, collectedAt: time() });
            write({ ...told(), what: "said", place: collected.offset });
            await pause(partMs);
            const [delivered] = await context.done(["delivered", { ...said, deliveredAt: time() }]);
            write({ ...told(), what: "settled", place: delivered.offset });
          } catch (error) {
            if (isLeaseLost(error)) write({ ...told(), what: "lost" });
            throw error;
          } finally {
            hold(-1);
          }
        },
      );
      return { satellite, working };
    });
    await Promise.all(drivers.map(({ working }) => working.ready()));
    console.log("working");

    return {
      async stop() {
        for (const { satellite } of drivers.slice(0, 1)) {
          while (!(await isDone(satellite))) await pause(lookMs);
        }
        await Promise.all(drivers.map(({ satellite }) => satellite.close({ drainMs: finishMs })));
      },
    };
  },
  { stopMs: finishMs },
);

async function isDone(satellite: Satellite<Parcels>): Promise<boolean> {
  const ours = (await satellite.groups()).find((one) => one.group === group);
  return ours !== undefined && ours.lag === 0 && ours.waiting === 0 && ours.held === 0;
}
