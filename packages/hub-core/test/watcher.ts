import type { PresenceMessage, Present, SatelliteStatus, WhoReply } from "@orrery/contracts";
import { PlainClient } from "./clients.ts";

/** A host's client that keeps, from pages and changes as they come, who is there; a hole or a repeat is a fault. */
export class Watcher extends PlainClient {
  readonly there = new Map<string, string>();
  /** `came guest:g1`, in order. */
  readonly told: string[] = [];
  readonly faults: string[] = [];
  /** How often the hub has ended the watching. */
  overs = 0;
  #readThrough: string | undefined;
  #waiting: (() => void)[] = [];

  constructor(hub: { readonly url: string }, id: string, auth: object = {}) {
    super(`${hub.url}/house`, { role: "host", id, events: [], ...auth });
    this.socket.on("hub:presence", ({ changes, isOver }: PresenceMessage) => {
      for (const { kind, ...present } of changes) this.#take(kind, present);
      if (isOver) this.overs += 1;
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  /** Who is there, by name, and since when. */
  get picture(): readonly (readonly [name: string, since: string])[] {
    return [...this.there].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Takes the snapshot and watches from then on. */
  async watch(): Promise<this> {
    await this.connected();
    this.there.clear();
    this.#readThrough = "";
    let reply = await this.who({ watch: true });
    for (;;) {
      for (const status of reply.satellites) this.there.set(status.satellite, sinceOf(status));
      this.#readThrough = reply.next;
      if (reply.next === undefined) return this;
      reply = await this.who({ after: reply.next });
    }
  }

  /** One page. */
  async who(request: object = {}): Promise<Extract<WhoReply, { ok: true }>> {
    const reply: WhoReply = await this.socket.emitWithAck("hub:who", request);
    if (!reply.ok) throw new Error(reply.error.code);
    return reply;
  }

  /** All pages. */
  async whoAll(): Promise<SatelliteStatus[]> {
    const all: SatelliteStatus[] = [];
    let next: string | undefined = "";
    while (next !== undefined) {
      const page: Extract<WhoReply, { ok: true }> = await this.who({ after: next });
      all.push(...page.satellites);
      next = page.next;
    }
    return all;
  }

  /** Resolves when it was told of that, now or earlier. */
  async tells(news: string): Promise<void> {
    await this.until(() => this.told.includes(news));
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((wake) => this.#waiting.push(wake));
  }

  /** A change behind the pages that were read may be in one that comes. */
  #take(kind: "came" | "went", present: Present): void {
    const { satellite } = present;
    this.told.push(`${kind} ${satellite}`);
    const isRead = this.#readThrough === undefined || satellite <= this.#readThrough;
    const isKnown = this.there.has(satellite);
    if (isRead && isKnown === (kind === "came")) this.faults.push(`${kind} ${satellite}`);
    if (kind === "came") this.there.set(satellite, sinceOf(present));
    else this.there.delete(satellite);
  }
}

const sinceOf = ({ since }: Present): string => since;
