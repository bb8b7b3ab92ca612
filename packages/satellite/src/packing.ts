// How events and settles are gathered, and packed in messages.
import { type ErrorBody, OrreryError } from "@orrery/contracts";

/** Events in one message; more gain nothing. */
export const messageEvents = 256;
/** What frames the content of a message, at most. Bytes. */
export const frameBytes = 1_024;
/** Before what was refused with a retryable code goes out again. Milliseconds. */
export const restMs = 500;
/** However long the hub says: what is asked then is refused again at worst. Milliseconds. */
const longestRestMs = 60_000;

/** How long to wait before what was refused for now goes out again. */
export const restFor = ({ retryAfterMs = 0 }: Pick<ErrorBody, "retryAfterMs">): number =>
  Math.max(restMs, Math.min(retryAfterMs, longestRestMs));

/** What is not plain JSON is `DATA_INVALID`. */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw new OrreryError("DATA_INVALID", { detail: "It is not plain JSON.", cause });
  }
}

const encoder = new TextEncoder();

/** Bytes of UTF-8, or for short texts, where counting is not worth it, the most that they can be. */
export const bytesOf = (text: string): number =>
  text.length < 512 ? text.length * 3 : encoder.encode(text).length;

/**
 * After everything that is ready to run has run, and without a timer: events that many callers emit upon one receipt
 * still travel in one message.
 */
export const nextTurn: (run: () => void) => void =
  typeof setImmediate === "function" ? setImmediate : queueMicrotask;
