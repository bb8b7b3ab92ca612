import { join } from "node:path";
import type { Parcel } from "@orrery/contracts/parcels";
import { openSqliteLog, type StoredEvent } from "@orrery/event-log";
import { readTraces } from "../read-traces.ts";
import type { Trace } from "./cast.ts";
import type { Attempt, Pickup, Said, WorkEvidence } from "./check.ts";

/** Places of the log in one page. */
const pagePlaces = 10_000;

type Read = Pick<WorkEvidence, "pickups" | "said" | "attempts" | "traces">;

/** Reads what a run has left: the log's file, once the hub has ended, and the files of these processes of drivers. */
export async function readWorkEvidence(
  logFile: string,
  satellites: string,
  processes: readonly string[],
): Promise<Read> {
  const traces: Trace[] = [];
  for (const name of processes) {
    for (const { lines } of await readTraces<Trace>(join(satellites, name), "work")) traces.push(...lines);
  }
  return { ...(await readLog(logFile)), traces };
}

async function readLog(file: string): Promise<Omit<Read, "traces">> {
  const pickups: Pickup[] = [];
  const said: Said[] = [];
  const attempts: Attempt[] = [];
  const log = await openSqliteLog({ file });
  try {
    for (let after = 0; after < log.head; ) {
      const page = await log.read({ after, limit: pagePlaces });
      for (const event of page.events) {
        if (event.event === "pickup") pickups.push({ offset: event.offset, key: event.key ?? "" });
        else if (event.event === "hub:work") attempts.push(attemptOf(event));
        else said.push(saidOf(event));
      }
      after = page.through;
    }
  } finally {
    await log.close();
  }
  return { pickups, said, attempts };
}

function saidOf({ offset: place, event, key = "", source, data }: StoredEvent): Said {
  const { customer }: Parcel = JSON.parse(data);
  return {
    place,
    event: event as Said["event"],
    key,
    driver: driverOf(source),
    attempt: Number(customer.name),
  };
}

/** The hub's own fact of how an attempt ended. */
function attemptOf({ offset: place, timeMs: atMs, data }: StoredEvent): Attempt {
  const { offset, attempt, by, outcome }: { by: string } & Pick<Attempt, "offset" | "attempt" | "outcome"> =
    JSON.parse(data);
  return { place, offset, attempt, driver: driverOf(by), outcome, atMs };
}

/** `driver:drivers-1.0` */
const driverOf = (source: string): string => source.slice(source.indexOf(":") + 1);
