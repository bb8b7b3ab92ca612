import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { developmentKey } from "@orrery/tokens";
import { Stage } from "../stage.ts";
import type { Victim } from "../victim.ts";
import { within } from "../within.ts";
import { drainMs, files, type Mode } from "./cast.ts";
import type { FuzzEvidence } from "./check.ts";
import { readAttackers, readBystander, readLog } from "./evidence.ts";
import { objectsIn } from "./heap.ts";
import type { Attack } from "./latency.ts";
import type { Sample } from "./memory.ts";

export interface FuzzOptions {
  readonly seed: number;
  readonly mode: Mode;
  /** The whole run, without its start and its end. Milliseconds. */
  readonly forMs: number;
  /** For the satellites' directories. */
  readonly satelliteDirectory: string;
  /** For the log. Both are there, and empty. */
  readonly hubDirectory: string;
  /** Ends the run with its reason. */
  readonly signal: AbortSignal;
  /** Hears, every minute, how it goes. */
  readonly print: (line: string) => void;
}

/** Until all processes work, on a busy machine. Milliseconds. */
const startMs = 60_000;
/** What a process may take to end. Milliseconds. */
const endMs = drainMs + 15_000;
/** Without attackers, before and after: this share of the run, but not longer than this. Milliseconds. */
const quiet = { share: 1 / 6, mostMs: 60_000 };
/** Between two looks at the hub's memory. Milliseconds. */
const sampleMs = 500;
/** Milliseconds. */
const minuteMs = 60_000;

/** From the attackers' end until the hub must have forgotten the last of them: its ping and the wait for an answer. Milliseconds. */
const forgottenMs = 50_000;
/** In a shorter run nobody looks whether it has. Milliseconds. */
const longMs = 60_000;
/** Between two looks at whether the heap is written down. Milliseconds. */
const lookMs = 200;

/**
 * An hour of what attackers say passes through a log of some thousand events. The heap is far above what the hub needs, and so
 * small that it is full before an hour is over in which a kilobyte of each message is kept.
 * The hub's limits are its defaults: others would be one more line here, `HUB_LIMITS`.
 */
const hubEnvironment = (heapDirectory: string) => ({
  HUB_KEEP_BYTES: "16000000",
  HUB_MAX_BYTES: "64000000",
  NODE_OPTIONS: `--max-old-space-size=512 --heapsnapshot-signal=${heapSignal} --diagnostic-dir=${heapDirectory}`,
});
/** Upon it the hub writes its heap down. */
const heapSignal = "SIGUSR2";

/**
 * Lets attackers at the hub while a bystander uses it, and tells what is left of that. A hub that ends is evidence too; rejects
 * where another process ends by itself, or something takes longer than it may. Leaves no process behind.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzEvidence> {
  const { seed, forMs, satelliteDirectory, hubDirectory } = options;
  const limitMs = forMs + startMs * 2 + endMs * 5 + forgottenMs;
  const identity = options.mode === "open" ? { hub: {}, satellites: {} } : await tokensIn(satelliteDirectory);
  await using stage = await Stage.prepare({
    ...options,
    limitMs,
    hubEnvironment: { ...hubEnvironment(satelliteDirectory), ...identity.hub },
  });
  const { hub } = stage;
  const bystander = await stage.satellite("bystander", "bystander", identity.satellites);
  const attackers = await stage.satellite("attackers", "attackers", {
    SEED: String(seed),
    ...identity.satellites,
  });
  const run = new Run(options, stage, bystander, attackers);
  let end: string | undefined;
  try {
    await run.play();
  } catch (error) {
    // The hub's end under attack is what this looks for; anything else is this run's own fault.
    const isFound = hub.fault !== undefined || run.isHubLate;
    if (!isFound || !run.hasBegun) throw error;
    end = error instanceof Error ? error.message : String(error);
    await Promise.all([hub.kill(), bystander.kill(), attackers.finish()]);
  }
  await writeFile(files.memory(satelliteDirectory), JSON.stringify(run.memory));
  return {
    attack: run.attack,
    hub: {
      end,
      errors: hub.printed(/^\{"level":[56]0/),
      noise: hub.printed(/^(?!\{"level":)./),
      memory: run.memory,
      connections: run.connections,
    },
    log: await readLog(join(hubDirectory, "events.db")),
    traces: await readBystander(satelliteDirectory),
    attackers: await readAttackers(satelliteDirectory),
  };
}

/** The variables of a hub that checks tokens, and of satellites that have them. Makes a key, of this run alone. */
async function tokensIn(directory: string) {
  const [KEY, REVOKED] = [files.key(directory), files.revoked(directory)];
  await developmentKey(KEY);
  return { hub: { HUB_KEY: KEY, HUB_REVOKED: REVOKED }, satellites: { KEY, REVOKED } };
}

class Run {
  readonly memory: Sample[] = [];
  /** It was told to end, and did not, or not in order. */
  isHubLate = false;
  /** What the hub has of connections when the attackers are gone; undefined: nobody has looked. */
  connections: number | undefined;
  readonly #options: FuzzOptions;
  readonly #stage: Stage;
  readonly #bystander: Victim;
  readonly #attackers: Victim;
  #fromMs = Number.POSITIVE_INFINITY;
  #untilMs = Number.POSITIVE_INFINITY;

  constructor(options: FuzzOptions, stage: Stage, bystander: Victim, attackers: Victim) {
    this.#options = options;
    this.#stage = stage;
    this.#bystander = bystander;
    this.#attackers = attackers;
  }

  /** Everybody was there, and attackers came. */
  get hasBegun(): boolean {
    return Number.isFinite(this.#fromMs);
  }

  get attack(): Attack {
    return { fromMs: this.#fromMs, untilMs: this.#untilMs };
  }

  async play(): Promise<void> {
    const { hub, signal } = this.#stage;
    const bounded = (what: string, mostMs: number, work: Promise<void>) => within(what, mostMs, signal, work);
    const quietMs = Math.min(quiet.mostMs, this.#options.forMs * quiet.share);
    hub.start();
    await bounded("the hub's start", startMs, hub.prints(/the hub listens/));
    this.#bystander.start();
    await bounded("the bystander's start", startMs, this.#bystander.prints(/^serving$/));
    await this.#pause(quietMs);
    this.#attackers.start();
    await bounded("the attackers' start", startMs, this.#attackers.prints(/^started$/));
    this.#fromMs = Date.now();
    await this.#watch(this.#options.forMs - 2 * quietMs);
    await bounded("the attackers' end", endMs, this.#attackers.finish());
    this.#untilMs = Date.now();
    const isLong = this.#options.forMs >= longMs;
    await this.#pause(isLong ? Math.max(quietMs, forgottenMs) : quietMs);
    await bounded("the bystander's end", endMs, this.#bystander.finish());
    if (isLong) this.connections = await within("the hub's heap", endMs, signal, this.#countConnections());
    this.isHubLate = true;
    await bounded("the hub's end", endMs, hub.finish());
    this.isHubLate = false;
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stage;
    await pause(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
  }

  /** Socket.IO's objects for them: one for each. */
  async #countConnections(): Promise<number> {
    const { satelliteDirectory: directory } = this.#options;
    this.#stage.hub.tell(heapSignal);
    for (;;) {
      await this.#pause(lookMs);
      const [name] = (await readdir(directory)).filter((file) => file.endsWith(".heapsnapshot"));
      if (name === undefined) continue;
      const file = join(directory, name);
      const count = await objectsIn(file, "Client").catch(() => undefined);
      if (count !== undefined) return count;
    }
  }

  /** Looks at the hub's memory until the time is over. */
  async #watch(forMs: number): Promise<void> {
    const [line = "{}"] = this.#stage.hub.printed(/the hub listens/);
    const { pid }: { readonly pid: number } = JSON.parse(line);
    const startedMs = Date.now();
    let minutes = 0;
    while (Date.now() - startedMs < forMs) {
      await this.#pause(Math.min(sampleMs, startedMs + forMs - Date.now()));
      const bytes = await residentBytes(pid);
      if (bytes === undefined) continue;
      this.memory.push({ atMs: Date.now(), bytes });
      if (Date.now() - startedMs < (minutes + 1) * minuteMs) continue;
      minutes += 1;
      this.#options.print(`${minutes} of ${Math.floor(forMs / minuteMs)} min: ${bytes >> 20} MB`);
    }
  }
}

/** What a process has in memory, as Linux tells; undefined elsewhere. */
async function residentBytes(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? [];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
}
