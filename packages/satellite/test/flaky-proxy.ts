import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** Numbers from 0 up to 1, always the same for a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const faults = [
  /** Both ends lose the connection. */
  "cut",
  /** The satellite loses it and comes back, while the hub still holds the old one, and gets late what is still on its way. */
  "duplicate",
  /** Nothing gets through any more, in either direction, and nobody is told before two seconds are over. */
  "freeze",
  /** The hub hears that the satellite has nothing more to say; what the hub says still arrives. */
  "half-close",
  /** What is said arrives late. */
  "delay",
] as const;
export type Fault = (typeof faults)[number];

/** Does things one after the other, each so many milliseconds later than it was asked to, or right after the one before. */
class Later {
  readonly #waiting: { readonly dueMs: number; readonly run: () => void }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  run(delayMs: number, run: () => void): void {
    if (this.#isOver) return;
    if (delayMs === 0 && this.#waiting.length === 0) return run();
    this.#waiting.push({ dueMs: performance.now() + delayMs, run });
    if (this.#waiting.length === 1) this.#wait();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#isOver = true;
  }

  #wait(): void {
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#timer = setTimeout(() => {
      next.run();
      this.#waiting.shift();
      if (!this.#isOver) this.#wait();
    }, next.dueMs - performance.now());
  }
}

interface Link {
  readonly satellite: Socket;
  readonly hub: Socket;
  readonly up: Later;
  readonly down: Later;
  delayMs: number;
}

/** A way to the hub that can be disturbed: a TCP proxy. */
export class FlakyProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  url = "";
  /** How many connections came. */
  connections = 0;
  #isOpen = true;
  #trap: string | undefined;

  private constructor(hubUrl: string) {
    const { hostname, port } = new URL(hubUrl);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (satellite) => {
      if (!this.#isOpen) return satellite.destroy();
      const hub = connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true });
      const link: Link = { satellite, hub, up: new Later(), down: new Later(), delayMs: 0 };
      this.#links.add(link);
      this.connections += 1;
      pass(link, link.up, satellite, hub);
      hub.on("data", (data) => this.#spring(link, data));
      pass(link, link.down, hub, satellite);
      hub.on("close", () => this.#end(link));
      // The hub keeps a connection that its satellite has lost, until what was late has come.
      satellite.on("close", () => link.up.run(link.delayMs, () => this.#end(link)));
    });
  }

  static async before(hubUrl: string): Promise<FlakyProxy> {
    const proxy = new FlakyProxy(hubUrl);
    await once(proxy.#server.listen(0, "127.0.0.1"), "listening");
    const { port } = proxy.#server.address() as { port: number };
    proxy.url = `http://127.0.0.1:${port}`;
    return proxy;
  }

  /** Does it to one of the connections; `random` chooses which, and how long a delay is. */
  disturb(fault: Fault, random: () => number): void {
    const links = [...this.#links].filter(({ satellite }) => !satellite.destroyed);
    const link = links[Math.floor(random() * links.length)];
    if (link === undefined) return;
    const { satellite, hub, down } = link;
    if (fault === "cut") this.#end(link);
    if (fault === "half-close") hub.end();
    if (fault === "delay") link.delayMs = Math.ceil(random() * 30);
    if (fault === "freeze") {
      for (const socket of [satellite, hub]) socket.pause();
      down.run(2_000, () => this.#end(link));
    }
    if (fault === "duplicate") {
      link.delayMs = 200 + Math.ceil(random() * 600);
      down.run(20, () => satellite.destroy());
    }
  }

  /** What it returns is called at each of `steps` steps, and disturbs `times` times, evenly spread and in all kinds of ways. */
  disturber(steps: number, times: number, random: () => number): () => void {
    let step = 0;
    let disturbed = 0;
    return () => {
      step += 1;
      if (step < ((disturbed + 1) * steps) / (times + 1)) return;
      disturbed += 1;
      this.disturb(faults[Math.floor(random() * faults.length)] ?? "cut", random);
    };
  }

  /** Cuts all connections, and lets none through. */
  close(): void {
    this.#isOpen = false;
    for (const link of this.#links) this.#end(link);
  }

  open(): void {
    this.#isOpen = true;
  }

  /** What hubs say from now on arrives that much later. */
  stall(delayMs: number): void {
    for (const { down } of this.#links) down.run(delayMs, () => undefined);
  }

  /** Cuts the first connection on which the hub says something with this text in it, before that gets through. */
  cutBefore(text: string): void {
    this.#trap = text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links) this.#end(link);
    this.#server.close();
    await once(this.#server, "close");
  }

  #spring(link: Link, data: Buffer): void {
    if (this.#trap === undefined || !data.includes(this.#trap)) return;
    this.#trap = undefined;
    this.#end(link);
  }

  #end(link: Link): void {
    for (const socket of [link.satellite, link.hub]) socket.destroy();
    for (const later of [link.up, link.down]) later.end();
    this.#links.delete(link);
  }
}

function pass(link: Link, later: Later, from: Socket, to: Socket): void {
  from.on("data", (data) => later.run(link.delayMs, () => to.writable && to.write(data)));
  from.on("end", () => later.run(link.delayMs, () => to.end()));
  from.on("error", () => undefined);
}
