import { performance } from "node:perf_hooks"; // also where a browser's types are at hand
import { setTimeout as pause } from "node:timers/promises";

/** What has to wait until the hub has nothing else to do waits so many times as long at most. */
const mostTimes = 10;

/** Resolves when the event loop has had nothing to do for so long, in all, from now on. Milliseconds. */
export async function whenIdle(ms: number): Promise<void> {
  const before = performance.eventLoopUtilization();
  const beganMs = performance.now();
  let leftMs = ms;
  do {
    await pause(leftMs); // a millisecond at least
    leftMs = ms - performance.eventLoopUtilization(before).idle;
  } while (leftMs > 0 && performance.now() - beganMs < mostTimes * ms);
}
