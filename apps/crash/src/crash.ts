import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { finishMs, followers, publishers } from "./cast.ts";
import type { Evidence } from "./check.ts";
import { readEvidence } from "./evidence.ts";
import type { Round } from "./plan.ts";
import type { Power } from "./power.ts";
import type { Kills } from "./report.ts";
import { Stage } from "./stage.ts";
import type { Victim } from "./victim.ts";
import { within } from "./within.ts";

export interface CrashOptions {
  readonly plan: readonly Round[];
  /** For the satellites' directories. */
  readonly satelliteDirectory: string;
  /** For the log. Both are there, and empty. */
  readonly hubDirectory: string;
  /** The hub's, for its directory: with each kill it loses what it has not synced. Default: it loses nothing written. */
  readonly power?: Power;
  /** Ends the run with its reason. */
  readonly signal: AbortSignal;
  /** Hears of each round. */
  readonly print: (line: string) => void;
}

/** From a start to the hub listening, and from there to the first receipts, on a busy machine. Milliseconds. */
const startMs = 60_000;
/**
 * How long followers are waited for. One that has handled offsets which the log then lost takes new events under them for
 * the old ones, until the log is longer than it was. Milliseconds.
 */
const followersMs = 5_000;
/** What the whole run may take: for its start and end, and for each round. Milliseconds. */
const boundMs = { run: 300_000, round: 20_000 };
/** Between two looks at whether everybody works. Milliseconds. */
const lookMs = 10;

/**
 * Carries out the plan on real processes, lets the satellites finish what they have begun, ends the hub, and reads what is
 * left. Rejects where a process ends by itself, or something takes longer than it may. Leaves no process behind.
 */
export async function crash(options: CrashOptions): Promise<{ kills: Kills; evidence: Evidence }> {
  await using scene = await Scene.prepare(options);
  for (const [place, round] of options.plan.entries()) {
    await scene.play(round);
    const names = [`the hub while ${round.when}`, ...round.satellites.map(({ name }) => name)];
    options.print(`${place + 1} of ${options.plan.length}: killed ${names.join(", ")}`);
  }
  await scene.finish();
  return { kills: scene.kills, evidence: await scene.evidence() };
}

/** The processes of a run and their files. */
class Scene implements AsyncDisposable {
  readonly #options: CrashOptions;
  readonly #stage: Stage;
  readonly #publishers: readonly Victim[];
  readonly #followers: readonly Victim[];

  private constructor(
    options: CrashOptions,
    stage: Stage,
    satellites: { readonly publishers: readonly Victim[]; readonly followers: readonly Victim[] },
  ) {
    this.#options = options;
    this.#stage = stage;
    this.#publishers = satellites.publishers;
    this.#followers = satellites.followers;
  }

  /** The satellites are started, the hub is not. */
  static async prepare(options: CrashOptions): Promise<Scene> {
    const limitMs = boundMs.run + options.plan.length * boundMs.round;
    const stage = await Stage.prepare({ ...options, limitMs, hubEnvironment: options.power?.environment });
    const scene = new Scene(options, stage, {
      publishers: await Promise.all(
        publishers.map(({ name, outbox }) => stage.satellite("publisher", name, { OUTBOX: outbox })),
      ),
      followers: await Promise.all(
        followers.map(({ name, vendor }) =>
          stage.satellite("follower", name, vendor === undefined ? {} : { VENDOR: vendor }),
        ),
      ),
    });
    for (const satellite of scene.#satellites) satellite.start();
    return scene;
  }

  get #satellites(): readonly Victim[] {
    return [...this.#publishers, ...this.#followers];
  }

  get kills(): Kills {
    const sum = (victims: readonly Victim[]) => victims.reduce((total, { kills }) => total + kills, 0);
    return { hub: this.#stage.hub.kills, publishers: sum(this.#publishers), followers: sum(this.#followers) };
  }

  /** One life of the hub; satellites that are killed meanwhile are started again at once. */
  async play({ when, hubAfterMs, satellites }: Round): Promise<void> {
    const signal = this.#stage.signal;
    try {
      if (when === "serving") await this.#startHub();
      else this.#stage.hub.start();
      const killHub = async () => {
        await pause(hubAfterMs, undefined, { signal });
        await this.#killHub();
      };
      const killSatellite = async ({ name, afterMs }: Round["satellites"][number]) => {
        const satellite = this.#satellites.find((one) => one.name === name);
        await pause(afterMs, undefined, { signal });
        await satellite?.kill();
        satellite?.start();
      };
      await Promise.all([killHub(), ...satellites.map(killSatellite)]);
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    }
  }

  /** The publishers get all their receipts and the followers all events, then the hub ends, or loses power once more. */
  async finish(): Promise<void> {
    await this.#startHub();
    // One that was just started again must be there to hear that it is to end.
    const started = Promise.all(this.#satellites.map((satellite) => satellite.prints(/^started$/)));
    await within("the satellites' start", startMs, this.#stage.signal, started);
    const finish = (what: string, victims: readonly Victim[]) =>
      within(what, finishMs, this.#stage.signal, Promise.all(victims.map((victim) => victim.finish())));
    await finish("the publishers' last receipts", this.#publishers);
    await finish("the followers' last events", this.#followers);
    if (this.#options.power === undefined) await finish("the hub's end", [this.#stage.hub]);
    else await this.#killHub();
  }

  evidence(): Promise<Evidence> {
    return readEvidence(join(this.#options.hubDirectory, "events.db"), this.#options.satelliteDirectory);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stage[Symbol.asyncDispose]();
  }

  /** Resolves when publishers get receipts again and followers handle events. */
  async #startHub(): Promise<void> {
    const before = new Map<Victim, number>();
    for (const one of this.#satellites) before.set(one, await this.#writtenBy(one));
    const work = async (satellites: readonly Victim[], untilMs = Infinity) => {
      for (const one of satellites) {
        while ((await this.#writtenBy(one)) === before.get(one) && performance.now() < untilMs) {
          await pause(lookMs, undefined, { signal: this.#stage.signal });
        }
      }
    };
    this.#stage.hub.start();
    await within("the hub's start", startMs, this.#stage.signal, this.#stage.hub.prints(/the hub listens/));
    await within("the first receipts", startMs, this.#stage.signal, work(this.#publishers));
    const untilMs = performance.now() + followersMs;
    await within("the first events", startMs, this.#stage.signal, work(this.#followers, untilMs));
  }

  async #killHub(): Promise<void> {
    await this.#stage.hub.kill();
    await this.#options.power?.lose();
  }

  /** Bytes of receipts, or of events handled. */
  async #writtenBy({ name }: Victim): Promise<number> {
    const directory = join(this.#options.satelliteDirectory, name);
    const files = (await readdir(directory)).filter((file) => /\.(receipts|handled)$/.test(file));
    const sizes = await Promise.all(files.map(async (file) => (await stat(join(directory, file))).size));
    return sizes.reduce((total, size) => total + size, 0);
  }
}
