import { type Contract, type ErrorBody, errorBody, eventOf } from "@orrery/contracts";
import { givenId } from "./admit.ts";
import type { HubSocket } from "./audience.ts";
import type { Holds } from "./holds.ts";
import type { Limits } from "./limits.ts";
import type { Meter } from "./meter.ts";

/** What it takes to judge how fast a message comes. */
interface Judge {
  readonly contract: Contract;
  readonly limits: Limits;
  readonly meter: Meter;
  readonly publisher: { readonly holds: Holds };
}

/**
 * Messages that are counted, and not refused for their rate: those that answer the hub, since claims and answers would be lost, and
 * without effect where nothing was handed out; and those that end something.
 */
const neverRefused = new Set([
  "hub:settle",
  "hub:hold",
  "hub:reply",
  "hub:unfollow",
  "hub:unwatch",
  "hub:unanswer",
]);

/** Counts a message of a satellite, whatever it is. Why it is refused for its rate; undefined: it may pass. */
export function rateRefusal(
  judge: Judge,
  socket: HubSocket,
  name: unknown,
  [first]: readonly unknown[],
): ErrorBody | undefined {
  const { meter } = judge;
  if (name === "hub:emit") return batchRefusal(judge, socket, Array.isArray(first) ? first : []);
  if (typeof name !== "string" || !name.startsWith("hub:") || name === "hub:ask") {
    return meter.eventsRefusal(socket, 1);
  }
  if (!neverRefused.has(name)) return meter.requestRefusal(socket);
  meter.count(socket, 1);
  return undefined;
}

/** What is refused is not overtaken: what comes behind it waits until it was said again, as with all that is refused for now. */
function batchRefusal(
  { contract, limits, meter, publisher: { holds } }: Judge,
  socket: HubSocket,
  entries: readonly unknown[],
): ErrorBody | undefined {
  const first = firstKept(contract, entries);
  const hold = first && holds.of(socket);
  if (hold?.code === "RATE_LIMITED" && first?.id !== hold.id) {
    meter.count(socket);
    return errorBody("RATE_LIMITED", undefined, Math.max(0, Math.ceil(hold.againMs - performance.now())));
  }
  const refusal = meter.eventsRefusal(socket, Math.max(1, Math.min(entries.length, limits.batchEvents)));
  const isFirst = hold === undefined || hold.id === first?.id;
  if (refusal !== undefined && first !== undefined && isFirst) {
    holds.hold(socket, [first], refusal.code, refusal.retryAfterMs);
  }
  return refusal;
}

/** The first entry whose event is kept: its id, empty where the hub is to give it one. */
function firstKept(contract: Contract, entries: readonly unknown[]): { readonly id: string } | undefined {
  for (const entry of entries) {
    if (!Array.isArray(entry)) continue;
    const [name, , options] = entry;
    const keep = eventOf(contract, name)?.keep;
    if (keep === undefined || keep === "none") continue;
    return { id: givenId(options) };
  }
  return undefined;
}
