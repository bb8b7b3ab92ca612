import { z } from "zod";

const secondsOfADay = 86_400;

/** Maps recorded time to real time. All times are milliseconds since 1970. */
export interface ReplayClock {
  /**
   * Whole milliseconds to wait, at the real time `nowMs`, until `recordedMs` is due; 0 when it is, or was. May be more
   * than the 2^31 - 1 that `setTimeout` takes (25 days), which would fire at once: then wait less and ask again.
   */
  dueInMs(recordedMs: number, nowMs: number): number;
}

/**
 * A clock on which the recorded instant `firstMs`, the first of the file, falls on the real time `startedAtMs`, and each
 * recorded day takes `secondsPerDay` real seconds: 86_400 is the recorded pace, 0 makes everything due at the start.
 */
export function replayClock(replay: {
  readonly firstMs: number;
  readonly secondsPerDay: number;
  readonly startedAtMs: number;
}): ReplayClock {
  const { firstMs, secondsPerDay, startedAtMs } = replay;
  return {
    dueInMs: (recordedMs, nowMs) => {
      const dueMs = startedAtMs + ((recordedMs - firstMs) * secondsPerDay) / secondsOfADay;
      return Math.max(0, Math.ceil(dueMs - nowMs)); // rounded up, so that nothing is early
    },
  };
}

const expected = 'expected "max" or the seconds that a recorded day takes, such as 60';

/** An environment variable that says how fast to replay: real seconds per recorded day. `max` and `0` both give 0. */
export const speedVariable = z
  .string(expected)
  .regex(/^(max|\d{1,9}(\.\d{1,9})?)$/, expected)
  .transform((speed) => (speed === "max" ? 0 : Number(speed)));
