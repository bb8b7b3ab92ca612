import { randomFrom } from "../random.ts";
import { processesOf, type Size } from "./cast.ts";

/** `stop`: SIGSTOP, later SIGCONT. `kill`: SIGKILL, later started again. */
export interface PlannedFault {
  readonly kind: "stop" | "kill";
  /** `hub`, or a process of drivers. */
  readonly name: string;
  /** From when all work on. Milliseconds. */
  readonly atMs: number;
  /** Until SIGCONT, or the next start. Milliseconds. */
  readonly forMs: number;
}

/** Each of these six times in so many faults; drivers more often, since the hub's concern all. */
const kinds = [
  { kind: "stop", whom: "driver", leastMs: 1_050, mostMs: 1_700 }, // wakes while others are at what it had
  { kind: "stop", whom: "driver", leastMs: 200, mostMs: 3_000 }, // now and then shorter than the lease
  { kind: "kill", whom: "driver", leastMs: 0, mostMs: 500 },
  { kind: "kill", whom: "driver", leastMs: 0, mostMs: 500 },
  { kind: "stop", whom: "hub", leastMs: 100, mostMs: 2_000 },
  { kind: "kill", whom: "hub", leastMs: 0, mostMs: 300 },
] as const;
/** Between two faults. Milliseconds. */
const pauseMs = { least: 200, most: 1_200 };
/** After a kill and a start until it works again, on a busy machine. Milliseconds. */
const startMs = 3_000;

/**
 * What is stopped or killed when, the same for the same seed: every kind in each six, never more than half of the drivers at
 * once, nothing while it is stopped or starts. Pure.
 */
export function planOf(seed: number, { faults, processes }: Size): readonly PlannedFault[] {
  const random = randomFrom(seed);
  const between = (least: number, most: number) => least + Math.floor(random() * (most - least));
  const names = processesOf(processes);
  const mostDown = Math.max(1, Math.floor(processes / 2));
  const freeMs = new Map(["hub", ...names].map((name) => [name, 0]));
  const plan: PlannedFault[] = [];
  let left: (typeof kinds)[number][] = [];
  let nowMs = 0;
  while (plan.length < faults) {
    if (left.length === 0) left = [...kinds];
    const [{ kind, whom, leastMs, mostMs }] = left.splice(between(0, left.length), 1) as [
      (typeof kinds)[number],
    ];
    nowMs += between(pauseMs.least, pauseMs.most);
    const candidates = whom === "hub" ? ["hub"] : names;
    const mostBusy = whom === "hub" ? 0 : mostDown - 1;
    const busyUntilMs = candidates.map((name) => freeMs.get(name) ?? 0).sort((a, b) => b - a);
    nowMs = Math.max(nowMs, busyUntilMs[mostBusy] ?? 0);
    const free = candidates.filter((name) => (freeMs.get(name) ?? 0) <= nowMs);
    const name = free[between(0, free.length)] as string;
    const forMs = between(leastMs, mostMs);
    freeMs.set(name, nowMs + forMs + (kind === "kill" ? startMs : 0));
    plan.push({ kind, name, atMs: nowMs, forMs });
  }
  return plan;
}
