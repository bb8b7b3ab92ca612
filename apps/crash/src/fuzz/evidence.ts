import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { nameOf } from "@orrery/contracts";
import { type Parcel, parcels } from "@orrery/contracts/parcels";
import { openSqliteLog } from "@orrery/event-log";
import { identityOf } from "@orrery/tokens";
import { readTraces } from "../read-traces.ts";
import { bystander, files, type Trace } from "./cast.ts";
import type { LogEvidence } from "./check.ts";
import { maySay } from "./reply.ts";
import type { AttackEvidence } from "./tally.ts";

/** Places of the log in one page. */
const pagePlaces = 10_000;

export async function readBystander(satelliteDirectory: string): Promise<readonly Trace[]> {
  const traces = await readTraces<Trace>(join(satelliteDirectory, "bystander"), "traces");
  return traces.flatMap(({ lines }) => [...lines]);
}

export async function readAttackers(satelliteDirectory: string): Promise<AttackEvidence> {
  return JSON.parse(await readFile(files.tally(join(satelliteDirectory, "attackers")), "utf8"));
}

/** Reads the log to its end, once the hub has ended. What fails is evidence too. */
export async function readLog(file: string): Promise<LogEvidence> {
  const offsets: number[] = [];
  const foreign: { offset: number; event: string; source: string }[] = [];
  const watched = new Map<number, number>();
  let takenThrough = 0;
  try {
    await using log = await openLog(file);
    for (let after = 0; after < log.head; ) {
      const page = await log.read({ after, limit: pagePlaces });
      takenThrough = page.takenThrough;
      for (const { offset, event, source, data } of page.events) {
        offsets.push(offset);
        if (event.startsWith("hub:")) continue; // the hub's own, of work
        const speaker = identityOf(source);
        const isTheirs = speaker !== undefined && maySay(parcels, speaker, event, JSON.parse(data));
        if (!isTheirs) foreign.push({ offset, event, source });
        if (event !== "pickup" || source !== nameOf(bystander.vendor)) continue;
        const { customer }: Parcel = JSON.parse(data);
        watched.set(offset, Number(customer.name));
      }
      after = page.through;
    }
    return { fault: undefined, takenThrough, offsets, foreign, watched };
  } catch (error) {
    return { fault: String(error), takenThrough, offsets, foreign, watched };
  }
}

async function openLog(file: string) {
  const log = await openSqliteLog({ file });
  return {
    head: log.head,
    read: log.read.bind(log),
    [Symbol.asyncDispose]: () => log.close(),
  };
}
