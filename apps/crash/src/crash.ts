import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { finishMs, followers, publishers } from "./cast.ts";
import type { Evidence } from "./check.ts";
import { readEvidence } from "./evidence.ts";
import { findPort } from "./find-port.ts";
import type { Round } from "./plan.ts";
import type { Power } from "./power.ts";
import type { Kills } from "./report.ts";
import { Victim } from "./victim.ts";
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
  readonly #hub: Victim;
  readonly #publishers: readonly Victim[];
  readonly #followers: readonly Victim[];
  readonly #hubDirectory: string;
  readonly #satelliteDirectory: string;
  readonly #power: Power | undefined;
  readonly #ending = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  /** The run is over: told from outside, by a process that ended by itself, by the time, or by the end of this scene. */
  readonly #signal: AbortSignal;

  private constructor({ plan, hubDirectory, satelliteDirectory, power, signal }: CrashOptions, port: number) {
    this.#hubDirectory = hubDirectory;
    this.#satelliteDirectory = satelliteDirectory;
    this.#power = power;
    this.#signal = AbortSignal.any([signal, this.#ending.signal]);
    const onFault = (error: Error) => this.#ending.abort(error);
    const limitMs = boundMs.run + plan.length * boundMs.round;
    this.#timer = setTimeout(() => onFault(new Error(`the run took longer than ${limitMs} ms`)), limitMs);
    this.#hub = new Victim({
      name: "hub",
      main: new URL("../../hub/src/main.ts", import.meta.url),
      environment: () => ({
        HUB_PORT: String(port),
        HUB_DATA: hubDirectory,
        LOG_LEVEL: "info",
        ...power?.environment,
      }),
      onFault,
    });
    const satellite = (program: string, name: string, environment: Readonly<Record<string, string>>) =>
      new Victim({
        name,
        main: new URL(`./programs/${program}.ts`, import.meta.url),
        environment: (life) => ({
          HUB_URL: `http://127.0.0.1:${port}`,
          NAME: name,
          LIFE: String(life),
          DIRECTORY: join(satelliteDirectory, name),
          ...environment,
        }),
        onFault,
      });
    this.#publishers = publishers.map(({ name, outbox }) => satellite("publisher", name, { OUTBOX: outbox }));
    this.#followers = followers.map(({ name, vendor }) =>
      satellite("follower", name, vendor === undefined ? {} : { VENDOR: vendor }),
    );
  }

  /** The satellites are started, the hub is not. */
  static async prepare(options: CrashOptions): Promise<Scene> {
    const port = await findPort();
    for (const { name } of [...publishers, ...followers]) await mkdir(join(options.satelliteDirectory, name));
    const scene = new Scene(options, port);
    for (const satellite of scene.#satellites) satellite.start();
    return scene;
  }

  get #satellites(): readonly Victim[] {
    return [...this.#publishers, ...this.#followers];
  }

  get kills(): Kills {
    const sum = (victims: readonly Victim[]) => victims.reduce((total, { kills }) => total + kills, 0);
    return { hub: this.#hub.kills, publishers: sum(this.#publishers), followers: sum(this.#followers) };
  }

  /** One life of the hub; satellites that are killed meanwhile are started again at once. */
  async play({ when, hubAfterMs, satellites }: Round): Promise<void> {
    const signal = this.#signal;
    try {
      if (when === "serving") await this.#startHub();
      else this.#hub.start();
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
    await within("the satellites' start", startMs, this.#signal, started);
    const finish = (what: string, victims: readonly Victim[]) =>
      within(what, finishMs, this.#signal, Promise.all(victims.map((victim) => victim.finish())));
    await finish("the publishers' last receipts", this.#publishers);
    await finish("the followers' last events", this.#followers);
    if (this.#power === undefined) await finish("the hub's end", [this.#hub]);
    else await this.#killHub();
  }

  evidence(): Promise<Evidence> {
    return readEvidence(join(this.#hubDirectory, "events.db"), this.#satelliteDirectory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#ending.abort();
    await Promise.all([this.#hub, ...this.#satellites].map((victim) => victim[Symbol.asyncDispose]()));
  }

  /** Resolves when publishers get receipts again and followers handle events. */
  async #startHub(): Promise<void> {
    const before = new Map<Victim, number>();
    for (const one of this.#satellites) before.set(one, await this.#writtenBy(one));
    const work = async (satellites: readonly Victim[], untilMs = Infinity) => {
      for (const one of satellites) {
        while ((await this.#writtenBy(one)) === before.get(one) && performance.now() < untilMs) {
          await pause(lookMs, undefined, { signal: this.#signal });
        }
      }
    };
    this.#hub.start();
    await within("the hub's start", startMs, this.#signal, this.#hub.prints(/the hub listens/));
    await within("the first receipts", startMs, this.#signal, work(this.#publishers));
    const untilMs = performance.now() + followersMs;
    await within("the first events", startMs, this.#signal, work(this.#followers, untilMs));
  }

  async #killHub(): Promise<void> {
    await this.#hub.kill();
    await this.#power?.lose();
  }

  /** Bytes of receipts, or of events handled. */
  async #writtenBy({ name }: Victim): Promise<number> {
    const directory = join(this.#satelliteDirectory, name);
    const files = (await readdir(directory)).filter((file) => /\.(receipts|handled)$/.test(file));
    const sizes = await Promise.all(files.map(async (file) => (await stat(join(directory, file))).size));
    return sizes.reduce((total, size) => total + size, 0);
  }
}
