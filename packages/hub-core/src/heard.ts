import type { Admitted } from "./admit.ts";

/** An event on its way to those who hear it. */
export interface Heard {
  readonly contract: string;
  readonly event: string;
  readonly rooms: readonly string[];
  /** Place in the log; null for an event that is not kept. */
  readonly offset: number | null;
  /** `["pickup",<data>,<meta>]` as JSON text: the packet of a plain client, and one element of a batched one. */
  readonly text: string;
}

export type ToHeard = (event: Omit<Admitted, "keep">, offset: number | null) => Heard;

/** The one place where an event becomes what satellites hear, live and from the log alike. */
export function heardEncoder(): ToHeard {
  const isoTime = cachedIsoTime();
  return ({ contract, event, id, key, rooms, source, timeMs, data }, offset) => {
    // The event's name and its source are of patterns that need no escaping.
    let meta = `"id":${JSON.stringify(id)},"source":"${source}","type":"${event}","time":"${isoTime(timeMs)}"`;
    if (key !== undefined) meta += `,"subject":${JSON.stringify(key)}`;
    if (offset !== null) meta += `,"offset":${offset}`;
    return { contract, event, rooms, offset, text: `["${event}",${data},{${meta}}]` };
  };
}

/** Formatting takes most of a microsecond, and the events of a batch share their millisecond. */
function cachedIsoTime(): (ms: number) => string {
  let lastMs = Number.NaN;
  let text = "";
  return (ms) => {
    if (ms !== lastMs) {
      lastMs = ms;
      text = new Date(ms).toISOString();
    }
    return text;
  };
}
