import type { Trace } from "./cast.ts";

/** When attackers came, and when they had gone. Milliseconds since 1970. */
export interface Attack {
  readonly fromMs: number;
  readonly untilMs: number;
}

export type Phase = "before" | "during" | "after";

export interface Latency {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
}

/** From saying to what came of it, by when it was said. Pure. */
export function latenciesOf(
  traces: readonly Trace[],
  what: "answered" | "acked" | "heard" | "followed",
  { fromMs, untilMs }: Attack,
): Readonly<Record<Phase, Latency>> {
  const saidMs = new Map<number, number>();
  const found: Record<Phase, number[]> = { before: [], during: [], after: [] };
  for (const trace of traces) {
    if (trace.what === "said") saidMs.set(trace.serial, trace.atMs);
    if (trace.what !== what) continue;
    const atMs = saidMs.get(trace.serial);
    if (atMs === undefined) continue;
    const phase = atMs < fromMs ? "before" : atMs < untilMs ? "during" : "after";
    found[phase].push(trace.atMs - atMs);
  }
  return { before: latencyOf(found.before), during: latencyOf(found.during), after: latencyOf(found.after) };
}

function latencyOf(unsorted: readonly number[]): Latency {
  const sorted = [...unsorted].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), mostMs: sorted.at(-1) ?? 0 };
}
