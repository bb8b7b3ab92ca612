// Says events at full speed until SIGTERM, then waits for their receipts. Writes each receipt down as it comes.
import { copyFileSync, existsSync, openSync, writeSync } from "node:fs";
import { parcels } from "@orrery/contracts/parcels";
import { readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { connect } from "@orrery/satellite";
import { z } from "zod";
import { finishMs, keysOf, serialsBefore, traces, vendorsOf } from "../cast.ts";
import type { Receipt } from "../check.ts";
import { endWithParent } from "./end-with-parent.ts";

/** Events of one satellite that wait for their receipts. */
const inFlight = 64;

endWithParent();
await runProcess(
  "publisher",
  async () => {
    console.log("started");
    const { HUB_URL, DIRECTORY, NAME, LIFE, OUTBOX } = readEnvironment(
      z.object({
        HUB_URL: urlVariable,
        DIRECTORY: z.string(),
        NAME: z.string(),
        LIFE: z.coerce.number().int().positive(),
        /** `file`: what has no receipt yet outlives the process. */
        OUTBOX: z.enum(["memory", "file"]),
      }),
    );
    const receipts = openSync(traces.receipts(DIRECTORY, LIFE), "ax");
    let isStopping = false;

    const vendors = vendorsOf(NAME).map((id) => {
      const file = traces.outbox(DIRECTORY, id);
      // What the life before has stored must happen, so it must be known at the end.
      if (existsSync(file)) copyFileSync(file, traces.left(DIRECTORY, LIFE, id));
      const vendor = connect(parcels, {
        url: HUB_URL,
        role: "vendor",
        id,
        ...(OUTBOX === "file" && { outbox: { file } }),
        onError(error) {
          throw error;
        },
      });
      const keys = keysOf(id);
      let serial = serialsBefore(LIFE);
      const say = async () => {
        while (!isStopping) {
          serial += 1;
          const key = keys[serial % keys.length] as string;
          const customer = { name: String(serial), city: "Recife", state: "PE" };
          const receipt = await vendor.emit("pickup", { parcelId: key, vendorId: id, customer });
          const line: Receipt = { id: receipt.id, key, offset: receipt.offset };
          writeSync(receipts, `${JSON.stringify(line)}\n`);
        }
      };
      return { vendor, said: Promise.all(Array.from({ length: inFlight }, say)) };
    });

    return {
      async stop() {
        isStopping = true;
        for (const { vendor, said } of vendors) {
          await said;
          await vendor.close({ drainMs: finishMs }); // what an earlier life left may still wait
        }
      },
    };
  },
  { stopMs: finishMs },
);
