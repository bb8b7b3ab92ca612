import type { StoredEvent } from "./event-log.ts";

/** What satellites hear of an event: all of it that is not the log's own business. */
export type TextParts = Pick<StoredEvent, "id" | "event" | "source" | "timeMs" | "data"> & {
  readonly key?: string | null;
  readonly cause?: string | null;
};

export type EventText = (event: TextParts, offset: number | null) => string;

/**
 * Makes events the JSON text that satellites hear, `["pickup",<data>,<meta>]`; `offset` is null for an event that is not
 * kept. The one place that does, live and from the log alike. Each caller has one of its own, for its memory of the last time.
 */
export function eventTexts(): EventText {
  const isoTime = cachedIsoTime();
  return ({ event, id, key, source, timeMs, data, cause }, offset) => {
    // The event's name and its source are of patterns that need no escaping.
    let meta = `"id":${JSON.stringify(id)},"source":"${source}","type":"${event}","time":"${isoTime(timeMs)}"`;
    if (key != null) meta += `,"subject":${JSON.stringify(key)}`;
    if (cause != null) meta += `,"causationId":${JSON.stringify(cause)}`;
    if (offset !== null) meta += `,"offset":${offset}`;
    return `["${event}",${data},{${meta}}]`;
  };
}

/** What `metaOf` finds in an event's text. */
export interface TextMeta {
  readonly id: string;
  /** The event's name. */
  readonly type: string;
  /** Its key. */
  readonly subject?: string;
  readonly offset?: number;
}

/** From a text of `eventTexts`, without parsing the data: within JSON strings no quote stands unescaped, and meta comes last. */
export const metaOf = (text: string): TextMeta => JSON.parse(text.slice(text.lastIndexOf(',{"id":') + 1, -1));

/** Adds to the meta of a text of `eventTexts`. */
export const withAttempt = (text: string, attempt: number): string =>
  `${text.slice(0, -2)},"attempt":${attempt}}]`;

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

/** Joins texts with commas into runs of at most `length` UTF-16 units, but of one text at least, in order. */
export function runsOf(texts: readonly string[], length: number): string[] {
  const runs: string[] = [];
  let start = 0;
  let total = 0;
  texts.forEach((text, place) => {
    const longer = total + text.length + (place > start ? 1 : 0);
    if (place > start && longer > length) {
      runs.push(texts.slice(start, place).join(","));
      start = place;
      total = text.length;
    } else {
      total = longer;
    }
  });
  if (start < texts.length) runs.push(texts.slice(start).join(","));
  return runs;
}
