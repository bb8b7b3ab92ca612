// A process with raw listeners, or with raw followers.
import type { Cursor } from "@orrery/contracts";
import { answerParent } from "../child.ts";
import { clockMs } from "../clock.ts";
import { RawFollowers } from "../raw-followers.ts";
import { RawListeners } from "../raw-listeners.ts";

const listeners = new RawListeners();
const followers = new RawFollowers();

export type ListenersAnswers = typeof answers;
const answers = answerParent({
  connect: listeners.connect.bind(listeners),
  until: listeners.until.bind(listeners),
  /** As `comeBack`, until `events` were heard, over all of them; the machine's clock before and after. Milliseconds. */
  async comeBack(url: string, count: number, after: Cursor, events: number) {
    const startMs = clockMs();
    await Promise.all([listeners.comeBack(url, count, after), listeners.until(events)]);
    return { startMs, endMs: clockMs() };
  },
  pause: listeners.pause.bind(listeners),
  resume: listeners.resume.bind(listeners),
  follow: followers.connect.bind(followers),
  /** Events delivered, over all followers. */
  followed: () => followers.delivered,
  stopFollowing: followers.close.bind(followers),
});
