import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { finishMs } from "../cast.ts";
import { Stage } from "../stage.ts";
import type { Victim } from "../victim.ts";
import { within } from "../within.ts";
import { holdingLine, processesOf, type Size, vendor } from "./cast.ts";
import type { Fault, WorkEvidence } from "./check.ts";
import { readWorkEvidence } from "./evidence.ts";
import type { PlannedFault } from "./plan.ts";

export interface WorkOptions {
  readonly size: Size;
  readonly plan: readonly PlannedFault[];
  /** For the satellites' directories. */
  readonly satelliteDirectory: string;
  /** For the log. Both are there, and empty. */
  readonly hubDirectory: string;
  /** Ends the run with its reason. */
  readonly signal: AbortSignal;
  /** Hears of each fault. */
  readonly print: (line: string) => void;
}

/** Until all processes work, on a busy machine. Milliseconds. */
const startMs = 60_000;
/** A fault waits so long for drivers that have a claim, and looks so often: there may be none left. Milliseconds. */
const claimMs = { most: 10_000, look: 20 };
/** What the whole run may take: for its start and end, and for each fault. Milliseconds. */
const boundMs = { run: 300_000, fault: 10_000 };

/**
 * Carries out the plan while drivers share pickups, lets them finish what is left, ends the hub, and reads what is left.
 * Rejects where a process ends by itself, or something takes longer than it may. Leaves no process behind.
 */
export async function runWork(options: WorkOptions): Promise<WorkEvidence> {
  const { size, plan, satelliteDirectory, hubDirectory, print } = options;
  const limitMs = boundMs.run + plan.length * boundMs.fault;
  await using stage = await Stage.prepare({ ...options, limitMs });
  const { hub, signal } = stage;
  const pickups = await stage.satellite("vendor", vendor, { PICKUPS: String(size.pickups) });
  const drivers: Victim[] = [];
  const environment = { DRIVERS: String(size.driversEach), MOST_WORK_MS: String(size.mostWorkMs) };
  for (const [place, name] of processesOf(size.processes).entries()) {
    const CLOCK = place % 2 === 0 ? "still" : "right";
    drivers.push(await stage.satellite("drivers", name, { ...environment, CLOCK }));
  }
  const bounded = (what: string, mostMs: number, victims: readonly Victim[], how: (one: Victim) => unknown) =>
    within(what, mostMs, signal, Promise.all(victims.map(how)));

  for (const one of [hub, ...drivers]) one.start();
  await bounded("the hub's start", startMs, [hub], (one) => one.prints(/the hub listens/));
  await bounded("the drivers' start", startMs, drivers, (one) => one.prints(/^working$/));
  pickups.start();
  await bounded("the pickups' start", startMs, [pickups], (one) => one.prints(/^started$/));

  const faults = await play(plan, { victims: [hub, ...drivers], hub, signal, print });
  await bounded("the pickups' receipts", finishMs, [pickups], (one) => one.prints(/^said$/));
  await bounded("the drivers' start", startMs, drivers, (one) => one.prints(/^working$/));
  await bounded("the last parcels", finishMs, drivers, (one) => one.finish());
  await bounded("the vendor's and the hub's end", finishMs, [pickups, hub], (one) => one.finish());
  const traces = await readWorkEvidence(
    join(hubDirectory, "events.db"),
    satelliteDirectory,
    drivers.map(({ name }) => name),
  );
  return { ...traces, pickupsSaid: size.pickups, faults };
}

interface Playing {
  readonly victims: readonly Victim[];
  readonly hub: Victim;
  readonly signal: AbortSignal;
  readonly print: (line: string) => void;
}

/** Faults of one process come one after the other, those of others meanwhile; drivers meet theirs with something in hand. */
async function play(
  plan: readonly PlannedFault[],
  { victims, hub, signal, print }: Playing,
): Promise<readonly Fault[]> {
  const startedMs = Date.now();
  const faults: Fault[] = [];
  const playOne = async (victim: Victim, { kind, name, atMs, forMs }: PlannedFault) => {
    await pause(Math.max(0, startedMs + atMs - Date.now()), undefined, { signal });
    if (victim !== hub) await hasClaims(victim, signal);
    const fromMs = Date.now();
    if (kind === "stop") victim.stop();
    else await victim.kill();
    await pause(forMs, undefined, { signal });
    const untilMs = Date.now();
    if (kind === "stop") victim.goOn();
    else victim.start();
    if (kind === "kill" && victim === hub) {
      await within("the hub's start", startMs, signal, hub.prints(/the hub listens/));
    }
    faults.push({ kind, name, fromMs, untilMs: victim === hub ? Date.now() : untilMs });
    print(`${faults.length} of ${plan.length}: ${kind === "stop" ? "stopped" : "killed"} ${name}`);
  };
  const playAll = async (victim: Victim) => {
    for (const fault of plan) if (fault.name === victim.name) await playOne(victim, fault);
  };
  try {
    await Promise.all(victims.map(playAll));
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
  return faults;
}

async function hasClaims(drivers: Victim, signal: AbortSignal): Promise<void> {
  const last = () => drivers.printed(/^has /).at(-1);
  const untilMs = Date.now() + claimMs.most;
  while (last() !== holdingLine(true) && Date.now() < untilMs)
    await pause(claimMs.look, undefined, { signal });
}
