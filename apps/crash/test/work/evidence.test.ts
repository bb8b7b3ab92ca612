import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteLog } from "@orrery/event-log";
import { tracesFile } from "../../src/work/cast.ts";
import { readWorkEvidence } from "../../src/work/evidence.ts";

it("reads the log and the drivers' files, without a line that a kill has torn", async () => {
  const directory = await mkdtemp(join(tmpdir(), "orrery-crash-test-"));
  await using _ = { [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
  const file = join(directory, "events.db");
  const event = (name: string, source: string, data: object) => ({
    contract: "parcels",
    id: name,
    event: name,
    key: "p-1",
    rooms: [],
    source,
    timeMs: 7,
    data: JSON.stringify(data),
    keep: "log" as const,
  });
  const log = await openSqliteLog({ file });
  const driver = "drivers-1.0";
  await log.append([
    event("pickup", "vendor:vendor", { parcelId: "p-1" }),
    event("in-transit", `driver:${driver}`, { parcelId: "p-1", customer: { name: "2" } }),
    event("hub:work", `driver:${driver}`, {
      offset: 1,
      attempt: 2,
      by: `driver:${driver}`,
      outcome: "expired",
    }),
  ]);
  await log.close();
  await mkdir(join(directory, "drivers-1"));
  const claimed = { driver, offset: 1, attempt: 2, atMs: 5, what: "claimed" };
  await writeFile(tracesFile(join(directory, "drivers-1"), 1), `${JSON.stringify(claimed)}\n{"driver":"dri`);

  expect(await readWorkEvidence(file, directory, ["drivers-1"])).toEqual({
    pickups: [{ offset: 1, key: "p-1" }],
    said: [{ place: 2, event: "in-transit", key: "p-1", driver, attempt: 2 }],
    attempts: [{ place: 3, offset: 1, attempt: 2, driver, outcome: "expired", atMs: 7 }],
    traces: [claimed],
  });
});
