import type { Finding } from "../finding.ts";
import { tableOf } from "../report.ts";
import type { FuzzEvidence } from "./check.ts";
import { latenciesOf } from "./latency.ts";
import { growthOf } from "./memory.ts";

type Count = readonly [what: string, count: number];

/** A run for people: what was said, what came of it, then each fault with its count, 0 where the promise was kept. */
export function fuzzReportOf(evidence: FuzzEvidence, findings: readonly Finding[]): string {
  const { attackers, hub, traces, attack, log } = evidence;
  const { said, answered, refused, ended, revoked } = attackers.counts;
  const megabytes = (bytes: number) => Math.round(bytes / 2 ** 20);
  const growth = growthOf(hub.memory);
  const highest = hub.memory.reduce((most, { bytes }) => Math.max(most, bytes), 0);
  const counts: Count[] = [
    ["attackers' visits", attackers.sessions],
    ["said", Object.values(said).reduce((sum, count) => sum + count, 0)],
    ...named("said, ", said),
    ...named("answered, ", answered),
    ...named("handshake refused, ", refused),
    ...named("ended, ", ended),
    ...named("tokens revoked, ", revoked),
    ["events in the log", log.offsets.length],
    ["events that retention had taken, up to offset", log.takenThrough],
    ["the hub's memory, second quarter, MB", megabytes(growth?.before ?? 0)],
    ["the hub's memory, last quarter, MB", megabytes(growth?.after ?? 0)],
    ["the hub's memory, highest, MB", megabytes(highest)],
    ...(["answered", "acked", "heard", "followed"] as const).flatMap((what) =>
      Object.entries(latenciesOf(traces, what, attack)).flatMap(
        ([phase, { count, p50Ms, p99Ms, mostMs }]): Count[] => [
          [`bystander, ${what} ${phase} the attack`, count],
          [`… half of them within, ms`, round(p50Ms)],
          [`… 99 of 100 within, ms`, round(p99Ms)],
          [`… all within, ms`, round(mostMs)],
        ],
      ),
    ),
  ];
  return tableOf(counts, findings);
}

const named = (prefix: string, counts: Readonly<Record<string, number>>): Count[] =>
  Object.entries(counts).map(([name, count]) => [`${prefix}${name}`, count]);

/** To a tenth. */
const round = (ms: number): number => Math.round(ms * 10) / 10;
