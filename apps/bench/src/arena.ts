import { setMaxListeners } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Answers, Child } from "./child.ts";
import { tokenFor } from "./keys.ts";
import type { EmitterKind, EmittersAnswers, Sent } from "./programs/emitters.ts";
import type { ListenersAnswers } from "./programs/listeners.ts";
import type { OrreryOptions, ServerAnswers, ServerKind } from "./programs/server.ts";
import type { Form } from "./raw-listeners.ts";

/** How a question is to be asked. */
export interface Plan {
  /** How often every figure is taken. */
  readonly rounds: number;
  /** How long one load lasts. Milliseconds. */
  readonly durationMs: number;
  /** The smallest form, which shows only that everything works. */
  readonly isQuick: boolean;
  /** Whether each server leaves a CPU profile in `out/profiles`. */
  readonly isProfiled: boolean;
  /** Ends everything. */
  readonly signal: AbortSignal;
}

/** One of those that are compared. */
export interface Contender {
  readonly name: string;
  readonly server: ServerKind;
  readonly emitters: EmitterKind;
  readonly listeners: Form;
}

export interface Measurement {
  readonly events: number;
  readonly deliveries: number;
  /** Until the last delivery. Milliseconds. */
  readonly wallMs: number;
  /** Of the server, all its threads. Microseconds. */
  readonly cpuMicros: number;
  readonly latencyMs: Sent["latencyMs"];
}

export type Load = (emitters: Child<EmittersAnswers>) => Promise<Sent>;

export const outDirectory = fileURLToPath(new URL("../out/", import.meta.url));

/** Runs contenders side by side, each in processes of its own; only the one that is measured has anything to do. */
export class Arena implements AsyncDisposable {
  readonly #plan: Plan;
  readonly #children: Child<Answers>[] = [];
  readonly #directories: string[] = [];

  constructor(plan: Plan) {
    this.#plan = plan;
    setMaxListeners(0, plan.signal); // one for each process
  }

  /**
   * One of the listeners is in the emitters' process, and connects last: what it hears, the others were sent before. Where Orrery
   * has a key, emitters have a token, and there are no listeners.
   */
  async enter(
    contender: Contender,
    emitterCount: number,
    listenerCount: number,
    options: OrreryOptions = {},
  ): Promise<Running> {
    const [server, emitters, listeners] = await Promise.all([
      this.startServer(contender.server, undefined, options),
      this.start<EmittersAnswers>("emitters"),
      listenerCount > 1 ? this.start<ListenersAnswers>("listeners") : undefined,
    ]);
    const url = await server.ask("url");
    await listeners?.ask("connect", url, contender.listeners, listenerCount - 1);
    if (listenerCount > 0) await emitters.ask("listen", url, contender.listeners);
    const token = options.key === undefined ? [] : ([await tokenFor(options.key, "vendor:acme")] as const);
    await emitters.ask("connect", contender.emitters, url, emitterCount, ...token);
    return new Running(contender, server, emitters, listeners, listenerCount);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child[Symbol.asyncDispose]()));
    await Promise.all(this.#directories.map((directory) => rm(directory, { recursive: true, force: true })));
  }

  /** What makes a process leave a profile, where one was asked for. */
  get profiling(): string[] {
    return this.#plan.isProfiled ? ["--cpu-prof", `--cpu-prof-dir=${join(outDirectory, "profiles")}`] : [];
  }

  /** A directory for a log, gone with the arena. Not the system's temporary one: that may be memory, where a disk is to be measured. */
  async directory(parent: string = outDirectory): Promise<string> {
    await mkdir(parent, { recursive: true });
    const directory = await mkdtemp(join(parent, "log-"));
    this.#directories.push(directory);
    return directory;
  }

  /** `directory`: where Orrery's log is, or shall be. `flags`: of Node's. */
  async startServer(
    kind: ServerKind,
    directory?: string,
    options: OrreryOptions = {},
    flags: readonly string[] = [],
  ): Promise<Child<ServerAnswers>> {
    const own = async () => [directory ?? (await this.directory()), JSON.stringify(options)];
    const args = kind === "orrery" ? [kind, ...(await own())] : [kind];
    return this.start<ServerAnswers>("server", args, ["--expose-gc", ...flags, ...this.profiling]);
  }

  /** A file of `src/programs`. It ends with the arena, or before, when it is disposed of. */
  async start<A extends Answers>(
    program: string,
    args: string[] = [],
    nodeArgs: string[] = [],
  ): Promise<Child<A>> {
    const child = await Child.start<A>(program, args, { signal: this.#plan.signal, nodeArgs });
    this.#children.push(child as unknown as Child<Answers>);
    return child;
  }
}

/** A contender at work. */
export class Running {
  readonly contender: Contender;
  readonly #server: Child<ServerAnswers>;
  readonly #emitters: Child<EmittersAnswers>;
  readonly #listeners: Child<ListenersAnswers> | undefined;
  readonly #listenerCount: number;
  #events = 0;

  constructor(
    contender: Contender,
    server: Child<ServerAnswers>,
    emitters: Child<EmittersAnswers>,
    listeners: Child<ListenersAnswers> | undefined,
    listenerCount: number,
  ) {
    this.contender = contender;
    this.#server = server;
    this.#emitters = emitters;
    this.#listeners = listeners;
    this.#listenerCount = listenerCount;
  }

  /** Throws when not every listener heard every event, once and in order, or the log has not every event acked. */
  async measure(load: Load): Promise<Measurement> {
    const cpuBefore = await this.#server.ask("cpuMicros");
    const startMs = performance.now();
    const { events, latencyMs } = await load(this.#emitters);
    this.#events += events;
    if (this.#listenerCount > 0) await this.#emitters.ask("until", this.#events);
    await this.#listeners?.ask("until", this.#events * (this.#listenerCount - 1));
    const wallMs = performance.now() - startMs;
    const cpuMicros = (await this.#server.ask("cpuMicros")) - cpuBefore;
    const head = await this.#server.ask("head");
    if (head !== null && head !== this.#events) {
      throw new Error(`${this.contender.name}: ${this.#events} events were acked, but the log has ${head}`);
    }
    return { events, deliveries: events * this.#listenerCount, wallMs, cpuMicros, latencyMs };
  }
}

/** One list of measurements for each contender, in the order of entering. */
export const alternate = (
  contenders: readonly Running[],
  plan: Plan,
  load: Load,
): Promise<readonly (readonly Measurement[])[]> =>
  inTurns(contenders, plan, (contender) => contender.measure(load));

/** A B A B, after a round that does not count. One list of measurements for each contender. */
export async function inTurns<Contender, Taken>(
  contenders: readonly Contender[],
  { rounds }: Pick<Plan, "rounds">,
  measure: (contender: Contender) => Promise<Taken>,
): Promise<readonly (readonly Taken[])[]> {
  for (const contender of contenders) await measure(contender);
  const measured = contenders.map((): Taken[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [place, contender] of contenders.entries()) measured[place]?.push(await measure(contender));
  }
  return measured;
}

/**
 * A B A B, where each measurement needs processes of its own. In the smallest form all at once, since most of its time goes to
 * starting them. One list of measurements for each contender.
 */
export async function takeTurns<Contender, Taken>(
  contenders: readonly Contender[],
  { isQuick, rounds }: Pick<Plan, "isQuick" | "rounds">,
  measure: (contender: Contender, round: number) => Promise<Taken>,
): Promise<readonly (readonly Taken[])[]> {
  if (isQuick) {
    const taken = await Promise.all(contenders.map((contender) => measure(contender, 0)));
    return taken.map((one) => [one]);
  }
  const measured = contenders.map((): Taken[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [place, contender] of contenders.entries()) {
      measured[place]?.push(await measure(contender, round));
    }
  }
  return measured;
}
