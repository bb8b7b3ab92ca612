import type { EventName, HistoryEntry } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { type Credentials, connect } from "@orrery/satellite";
import { lineOf } from "./line.ts";

/**
 * Asks the hub what a parcel went through and prints it, instead of following events. Waits for the hub until `signal` is
 * aborted; rejects with the `OrreryError` of a refusal.
 */
export async function printParcel({
  hubUrl,
  credentials,
  parcelId,
  print,
  signal,
}: {
  readonly hubUrl: string;
  readonly credentials: Credentials<Parcels>;
  readonly parcelId: string;
  readonly print: (lines: string) => void;
  readonly signal: AbortSignal;
}): Promise<void> {
  print(`What parcel ${parcelId} went through, from the hub at ${hubUrl}`);
  const satellite = connect(parcels, {
    url: hubUrl,
    ...credentials,
    onError: (error) => print(String(error)),
  });
  signal.addEventListener("abort", () => void satellite.close());
  try {
    const lines = parcelLines(await satellite.history(parcelId));
    print(
      lines.length > 0 ? lines.join("\n") : "Nobody has worked on it so far, or there is no such parcel.",
    );
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await satellite.close();
  }
}

/** A key's history for people: its events as `lineOf` has them, who worked on it and how that ended, and how it stands. */
export const parcelLines = (entries: readonly HistoryEntry[]): string[] => [
  ...entries.map(entryLine),
  ...unsettledAmong(entries).map(unsettledLine),
];

function entryLine(entry: HistoryEntry): string {
  switch (entry.kind) {
    case "event": {
      const [event, data, meta] = entry.event;
      const line = lineOf(event as EventName<Parcels>, data as Readonly<Record<string, unknown>>, meta);
      return `${meta.time.slice(0, 10)} ${line}`;
    }
    case "attempt":
      return attemptLine(entry);
    case "waiting":
      return entry.dueTime === undefined
        ? `waiting in ${entry.group}, for a member with room`
        : `waiting in ${entry.group}, until ${clock(entry.dueTime)}`;
  }
}

type Attempt = Extract<HistoryEntry, { readonly kind: "attempt" }>;

/** What an attempt's outcome means. */
const outcomes: Readonly<Record<Attempt["outcome"], string>> = {
  done: "done",
  retry: "failed",
  dead: "failed for good",
  back: "given back",
  held: "working on it",
  expired: "lost",
  gone: "lost",
  redriven: "was dead, and is to be tried again",
  dropped: "was dead, and was dropped",
};

function attemptLine({ group, attempt, by, time, outcome, error }: Attempt): string {
  const who = `${by} in ${group}, attempt ${attempt}`;
  const why = error === undefined ? "" : `: ${error}`;
  return outcome === "held"
    ? `${who}: ${outcomes.held}, until ${clock(time)} if it is not renewed`
    : `${clock(time)} ${who}: ${outcomes[outcome]}${why}`;
}

/** The last attempts at what is not settled, and is neither held nor waits. */
function unsettledAmong(entries: readonly HistoryEntry[]): Attempt[] {
  const last = new Map<string, Exclude<HistoryEntry, { readonly kind: "event" }>>();
  for (const entry of entries) if (entry.kind !== "event") last.set(`${entry.offset} ${entry.group}`, entry);
  const isUnsettled = (entry: HistoryEntry): entry is Attempt =>
    entry.kind === "attempt" && ["retry", "dead", "back", "expired", "gone"].includes(entry.outcome);
  return [...last.values()].filter(isUnsettled);
}

/** A history does not tell how many attempts a group has: after a failure it may be dead, or the group is no more. */
function unsettledLine({ group, attempt, outcome, error }: Attempt): string {
  const after = `after ${attempt === 1 ? "1 attempt" : `${attempt} attempts`}`;
  const why = error === undefined ? "" : `: ${error}`;
  return outcome === "dead"
    ? `dead in ${group} ${after}${why}`
    : `not settled in ${group} ${after}, dead or the group forgotten${why}`;
}

/** `2026-11-22 16:17:16.081` */
const clock = (time: string): string => time.slice(0, 23).replace("T", " ");
