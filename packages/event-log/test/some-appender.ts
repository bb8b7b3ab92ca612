// Appends to the log named by the first argument until it is killed, each batch with a record of its last id, and prints
// `<id> <offset>` for each event acked.
import { randomUUID } from "node:crypto";
import { writeSync } from "node:fs";
import { openSqliteLog } from "../src/index.ts";

const batchesUnderWay = 4;

const log = await openSqliteLog({ file: process.argv[2] ?? "" });
await Promise.all(
  Array.from({ length: batchesUnderWay }, async (_, lane) => {
    for (;;) {
      const batch = Array.from({ length: 1 + lane * 5 }, () => ({
        contract: "parcels",
        id: randomUUID(),
        event: "pickup",
        rooms: [],
        source: `vendor:${lane}`,
        timeMs: Date.now(),
        data: "{}",
        keep: "log" as const,
      }));
      const last = { name: `vendor:${lane}`, value: JSON.stringify(batch.at(-1)?.id) };
      const appended = await log.append(batch, [last]);
      const lines = appended.map((one, index) => `${batch[index]?.id} ${"offset" in one && one.offset}\n`);
      writeSync(1, lines.join(""));
    }
  }),
);
