import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { findPort } from "./find-port.ts";
import { Victim } from "./victim.ts";

export interface StageOptions {
  /** For the satellites' directories. */
  readonly satelliteDirectory: string;
  /** For the log. */
  readonly hubDirectory: string;
  /** The hub's, beside its own. */
  readonly hubEnvironment?: Readonly<Record<string, string>> | undefined;
  /** What the whole run may take. Milliseconds. */
  readonly limitMs: number;
  /** Ends the run with its reason. */
  readonly signal: AbortSignal;
}

/** A hub and its satellites as processes, none of them started, and what ends a run. Leaves no process behind. */
export class Stage implements AsyncDisposable {
  readonly hub: Victim;
  /** The run is over: told from outside, by a process that ended by itself, by the time, or by the end of this stage. */
  readonly signal: AbortSignal;
  readonly #options: StageOptions;
  readonly #port: number;
  readonly #ending = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #satellites: Victim[] = [];

  private constructor(options: StageOptions, port: number) {
    const { hubDirectory, hubEnvironment, limitMs, signal } = options;
    this.#options = options;
    this.#port = port;
    this.signal = AbortSignal.any([signal, this.#ending.signal]);
    this.#timer = setTimeout(() => this.#fail(new Error(`the run took longer than ${limitMs} ms`)), limitMs);
    this.hub = new Victim({
      name: "hub",
      main: new URL("../../hub/src/main.ts", import.meta.url),
      environment: () => ({
        HUB_PORT: String(port),
        HUB_DATA: hubDirectory,
        LOG_LEVEL: "info",
        ...hubEnvironment,
      }),
      onFault: (error) => this.#fail(error),
    });
  }

  static async prepare(options: StageOptions): Promise<Stage> {
    return new Stage(options, await findPort());
  }

  /** A program of `programs`, with a new directory of its own. */
  async satellite(
    program: string,
    name: string,
    environment: Readonly<Record<string, string>>,
  ): Promise<Victim> {
    const directory = join(this.#options.satelliteDirectory, name);
    await mkdir(directory);
    const satellite = new Victim({
      name,
      main: new URL(`./programs/${program}.ts`, import.meta.url),
      environment: (life) => ({
        HUB_URL: `http://127.0.0.1:${this.#port}`,
        NAME: name,
        LIFE: String(life),
        DIRECTORY: directory,
        ...environment,
      }),
      onFault: (error) => this.#fail(error),
    });
    this.#satellites.push(satellite);
    return satellite;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#ending.abort();
    await Promise.all([this.hub, ...this.#satellites].map((victim) => victim[Symbol.asyncDispose]()));
  }

  #fail(error: Error): void {
    this.#ending.abort(error);
  }
}
