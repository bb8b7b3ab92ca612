import { runMain } from "@orrery/process/testing";

export interface VictimOptions {
  readonly name: string;
  readonly main: URL;
  /** The environment of a life; 1 is the first. */
  readonly environment: (life: number) => Readonly<Record<string, string>>;
  /** Hears of an end that nobody asked for. */
  readonly onFault: (error: Error) => void;
}

/** How much of what a process has printed goes into an error. Lines. */
const toldLines = 20;

interface Life {
  readonly child: ReturnType<typeof runMain>;
  isEndExpected: boolean;
}

/** A process that is stopped and goes on, or is killed and started again. */
export class Victim implements AsyncDisposable {
  readonly name: string;
  readonly #options: VictimOptions;
  #life: Life | undefined;
  #lives = 0;
  #kills = 0;
  #ended: Error | undefined;
  #isDisposed = false;

  constructor(options: VictimOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get kills(): number {
    return this.#kills;
  }

  /** An end that nobody asked for. */
  get fault(): Error | undefined {
    return this.#ended;
  }

  /** The lines like this that it has printed, in this life. */
  printed(pattern: RegExp): readonly string[] {
    return this.#life?.child.lines.matching(pattern) ?? [];
  }

  start(): void {
    if (this.#isDisposed) return; // the run was given up between a kill and the start after it
    this.#lives += 1;
    const { main, environment, onFault } = this.#options;
    const life: Life = { child: runMain(main, environment(this.#lives)), isEndExpected: false };
    this.#life = life;
    void life.child.ended.then((code) => {
      if (life.isEndExpected) return;
      this.#ended = this.#fault("ended by itself", code, life);
      onFault(this.#ended);
    });
  }

  /** Resolves when the process has printed a line like this. */
  async prints(pattern: RegExp): Promise<void> {
    await this.#life?.child.lines.seen(pattern);
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    const [, code] = await this.#end("SIGKILL");
    if (code === "SIGKILL") this.#kills += 1;
  }

  tell(signal: NodeJS.Signals): void {
    this.#life?.child.send(signal);
  }

  /** SIGSTOP: it is there, and does nothing, until SIGCONT. */
  stop(): void {
    this.tell("SIGSTOP");
  }

  /** SIGCONT. */
  goOn(): void {
    this.tell("SIGCONT");
  }

  /** SIGTERM. Resolves when the process has ended with code 0; rejects when it was another one. */
  async finish(): Promise<void> {
    const [life, code] = await this.#end("SIGTERM");
    if (code !== 0) throw this.#fault("was told to end", code, life);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    if (this.#life !== undefined) await this.#end("SIGKILL");
  }

  async #end(signal: NodeJS.Signals): Promise<[Life, number | string | null]> {
    const life = this.#life;
    if (life === undefined) throw new Error(`${this.name} was not started`);
    life.isEndExpected = true;
    life.child.send(signal);
    return [life, await life.child.ended];
  }

  #fault(what: string, code: number | string | null, { child }: Life): Error {
    return new Error([`${this.name} ${what}: ${code}`, ...child.lines.all.slice(-toldLines)].join("\n"));
  }
}
