import { join } from "node:path";
import type { Parcel } from "@orrery/contracts/parcels";
import { openSqliteLog } from "@orrery/event-log";
import { followers, publishers } from "./cast.ts";
import type { Evidence, Followed, Handled, Logged, Receipt } from "./check.ts";
import { readTraces } from "./read-traces.ts";

/** Places of the log in one page. */
const pagePlaces = 10_000;

/** Reads what a run has left: the log's file, once the hub has ended, and the directory of the satellites' directories. */
export async function readEvidence(logFile: string, satellites: string): Promise<Evidence> {
  const shared = sharing();
  const receipts: Receipt[] = [];
  const stored: string[] = [];
  for (const { name } of publishers) {
    const directory = join(satellites, name);
    for (const { lines } of await readTraces<Receipt>(directory, "receipts")) {
      for (const { id, key, offset } of lines) receipts.push({ id, key: shared(key), offset });
    }
    for (const { lines } of await readTraces<OutboxLine>(directory, "left")) stored.push(...waitingOf(lines));
  }
  const followed: Followed[] = [];
  for (const { name, vendor } of followers) {
    const handled: Handled[] = [];
    for (const { life, lines } of await readTraces<Receipt>(join(satellites, name), "handled")) {
      for (const { id, key, offset } of lines) handled.push({ id, key: shared(key), offset, life });
    }
    const wants = (event: Logged) => vendor === undefined || event.vendor === vendor;
    followed.push({ name, wants, handled });
  }
  return { log: await readLog(logFile, shared), receipts, stored, followed };
}

async function readLog(file: string, shared: (text: string) => string): Promise<readonly Logged[]> {
  const log = await openSqliteLog({ file });
  try {
    const events: Logged[] = [];
    for (let after = 0; after < log.head; ) {
      const page = await log.read({ after, limit: pagePlaces });
      for (const { offset, id, key = "", data } of page.events) {
        const { vendorId, customer }: Parcel = JSON.parse(data);
        events.push({
          offset,
          id: Buffer.from(id).toString(), // of its own: as it came, it keeps the memory of the whole page
          key: shared(key),
          vendor: shared(vendorId),
          serial: Number(customer.name),
        });
      }
      after = page.through;
    }
    return events;
  } finally {
    await log.close();
  }
}

/** One string for all that are the same: a long run has millions of events and some dozens of keys. */
function sharing(): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    const first = known.get(text);
    if (first !== undefined) return first;
    const own = Buffer.from(text).toString();
    known.set(own, own);
    return own;
  };
}

/** As the satellite's outbox has it: an event that was put, or the ids of some that got their receipts. */
type OutboxLine = { readonly id: string } | { readonly removed: readonly string[] };

function waitingOf(lines: Iterable<OutboxLine>): readonly string[] {
  const waiting = new Set<string>();
  for (const line of lines) {
    if ("id" in line) waiting.add(line.id);
    else for (const id of line.removed) waiting.delete(id);
  }
  return [...waiting];
}
