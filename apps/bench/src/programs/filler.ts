// A process that fills a log before a hub serves it: `filler <directory of the log>`.
import { join } from "node:path";
import { uuidv7Source } from "@orrery/contracts";
import { type NewEvent, openSqliteLog } from "@orrery/event-log";
import { answerParent } from "../child.ts";
import { keptParcel } from "../parcel.ts";

const [directory = ""] = process.argv.slice(2);
const log = await openSqliteLog({ file: join(directory, "events.db") });
const nextId = uuidv7Source();

/** The largest page of a read; larger commits gained nothing. */
const batchEvents = 10_000;

function eventAt(offset: number): NewEvent {
  const parcel = keptParcel(offset);
  return {
    contract: "parcels",
    id: nextId(),
    event: "pickup",
    key: parcel.parcelId,
    rooms: [`vendor:${parcel.vendorId}`],
    source: `vendor:${parcel.vendorId}`,
    timeMs: Date.now(),
    data: JSON.stringify(parcel),
    keep: "log",
  };
}

export type FillerAnswers = typeof answers;
const answers = answerParent({
  /** Appends events until the log has so many. */
  async fill(events: number): Promise<void> {
    let before = Promise.resolve<unknown>(undefined);
    for (let head = log.head; head < events; ) {
      const size = Math.min(batchEvents, events - head);
      const first = head + 1;
      const batch = Array.from({ length: size }, (_, place) => eventAt(first + place));
      head += size;
      // The next batch is made while this one is written.
      const written = log.append(batch);
      await before;
      before = written;
    }
    await before;
  },

  /** Remembers so many followers, as the hub does; each is somewhere else in the log. */
  async follow(count: number): Promise<void> {
    const records = Array.from({ length: count }, (_, number) => ({
      name: `follower/parcels/driver:d${number}/f`,
      value: JSON.stringify({ cursor: Math.floor((log.head * number) / count) }),
    }));
    await log.append([], records);
  },

  close: () => log.close(),
});
