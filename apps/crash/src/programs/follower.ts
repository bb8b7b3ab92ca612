// Writes each event down as it is handled. Upon SIGTERM it goes on to the end of the log, and then ends.
import { openSync, writeSync } from "node:fs";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { parcels } from "@orrery/contracts/parcels";
import { readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { connect } from "@orrery/satellite";
import { z } from "zod";
import { finishMs, traces } from "../cast.ts";
import type { Receipt } from "../check.ts";
import { endWithParent } from "./end-with-parent.ts";

/** One event in so many takes longer: others of its key wait for it, other keys pass it, and a kill finds it unfinished. */
const slowEvery = 97;
/** Milliseconds. */
const slowMs = 50;
/** Between two looks at how far it is. Milliseconds. */
const lookMs = 50;

endWithParent();
await runProcess(
  "follower",
  async () => {
    console.log("started");
    const { HUB_URL, DIRECTORY, NAME, LIFE, VENDOR } = readEnvironment(
      z.object({
        HUB_URL: urlVariable,
        DIRECTORY: z.string(),
        NAME: z.string(),
        LIFE: z.coerce.number().int().positive(),
        /** Follows this vendor's events only. Missing: all. */
        VENDOR: z.string().optional(),
      }),
    );
    const handled = openSync(traces.handled(DIRECTORY, LIFE), "ax");
    const satellite = connect(parcels, { url: HUB_URL, role: "logger", id: NAME });
    const following = satellite.follow(
      "pickup",
      {
        as: "proof",
        from: "start",
        ...(VENDOR !== undefined && { rooms: [`vendor:${VENDOR}`] }),
        onEnd(reason) {
          throw reason;
        },
      },
      async ({ parcelId: key }, { id, offset = 0 }) => {
        await (offset % slowEvery === 0 ? pause(slowMs) : turn());
        const line: Receipt = { id, key, offset };
        writeSync(handled, `${JSON.stringify(line)}\n`);
      },
    );
    await following.ready();
    const lag = async () => (await satellite.followers()).find(({ as }) => as === following.as)?.lag;

    return {
      async stop() {
        while ((await lag()) !== 0) await pause(lookMs);
        await following.stop();
        await satellite.close();
      },
    };
  },
  { stopMs: finishMs },
);
