import { type Evidence, firsts } from "./check.ts";
import type { Finding } from "./finding.ts";

/** How often each was killed. */
export type Kills = Readonly<Record<"hub" | "publishers" | "followers", number>>;

/** A run for people: what happened, then each fault with its count, 0 where the promise was kept. */
export function reportOf(kills: Kills, evidence: Evidence, findings: readonly Finding[]): string {
  const { log, receipts, stored, followed } = evidence;
  const counts: [string, number][] = [
    ["hub killed", kills.hub],
    ["publishers killed", kills.publishers],
    ["followers killed", kills.followers],
    ["events acked", receipts.length],
    ["events in the log", log.length],
    ["events left in the outboxes of killed publishers", stored.length],
  ];
  for (const { name, handled } of followed) {
    const first = firsts(handled).length;
    counts.push(
      [`events handled by ${name}`, first],
      ["… and once more after a kill", handled.length - first],
    );
  }
  return tableOf(counts, findings);
}

/** Counts, then each fault with its count, then examples of faults. */
export function tableOf(
  counts: readonly (readonly [what: string, count: number])[],
  findings: readonly Finding[],
): string {
  const faults = findings.map(({ fault, count }): [string, number] => [fault, count]);
  const width = Math.max(...[...counts, ...faults].map(([what]) => what.length));
  const line = ([what, count]: readonly [string, number]) =>
    `${what.padEnd(width)}  ${count.toLocaleString("en").padStart(11)}`;
  const examples = findings.flatMap(({ fault, examples }) =>
    examples.map((example) => `for example ${fault}: ${example}`),
  );
  return [
    ...counts.map(line),
    "",
    ...faults.map(line),
    ...(examples.length > 0 ? ["", ...examples] : []),
  ].join("\n");
}
