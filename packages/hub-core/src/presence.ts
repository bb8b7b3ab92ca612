import {
  type Contract,
  type DoneReply,
  nameOf,
  ownRooms,
  type PresenceChange,
  type Present,
  type SatelliteStatus,
  scopeOf,
  type WhoReply,
} from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import type { Filter } from "@orrery/event-log";
import { z } from "zod";
import type { HubSocket } from "./audience.ts";
import { unsentBytes, whenDrained } from "./connection.ts";
import type { Followers } from "./follow.ts";
import type { Limits } from "./limits.ts";
import type { Listening } from "./listen.ts";
import { type PresenceInput, type PresenceState, type PresenceTold, stepPresence } from "./presence-rules.ts";
import { refused } from "./refused.ts";

const Who = z.strictObject({ after: z.string().max(200).optional(), watch: z.boolean().default(false) });
const Unwatch = z.strictObject({});

/** A satellite that is there, with its connections; none while the grace runs. */
interface Known extends Present {
  readonly sockets: Set<HubSocket>;
  state: PresenceState;
  /** As they were told last. */
  rooms?: Rooms;
}

/** Of one satellite. */
interface Rooms {
  /** What its connections hear: other ones, and its rooms are other ones. */
  readonly filters: readonly (Filter | undefined)[];
  readonly told: Pick<SatelliteStatus, "rooms" | "roomCount">;
}

/** Satellites in one answer. */
const mostSatellites = 1_000;
/** Rooms that are told of one satellite: as many as one connection may name. With 100 connections it had 1.3 MB of them. */
const mostRooms = 100;
/** No change is longer: names have 97 characters at most. */
const changeLength = 512;

/** The satellites of one contract that are connected, and the connections that watch them come and go. */
export class Presence {
  readonly #contract: Contract;
  readonly #limits: Limits;
  readonly #listening: Listening;
  readonly #followers: Followers;
  readonly #known = new Map<string, Known>();
  /** The names of `#known`, sorted; undefined after each change. */
  #names: readonly string[] | undefined;
  /** Those without a connection, in the order in which their grace ends. */
  readonly #missed = new Set<Known>();
  #timer: NodeJS.Timeout | undefined;
  readonly #watchers = new Set<HubSocket>();
  /** Of this turn; they travel together. */
  #changes: PresenceChange[] = [];
  #hasEnded = false;

  constructor(contract: Contract, limits: Limits, listening: Listening, followers: Followers) {
    this.#contract = contract;
    this.#limits = limits;
    this.#listening = listening;
    this.#followers = followers;
  }

  connect(socket: HubSocket): void {
    const { identity } = socket.data;
    const satellite = nameOf(identity);
    const known: Known = this.#known.get(satellite) ?? {
      satellite,
      ...identity,
      since: new Date().toISOString(),
      sockets: new Set(),
      state: { kind: "away" },
    };
    known.sockets.add(socket);
    this.#missed.delete(known);
    this.#step(known, "connected");
  }

  /** The connection is gone. */
  leave(socket: HubSocket): void {
    this.#watchers.delete(socket);
    const known = this.#known.get(nameOf(socket.data.identity));
    if (known === undefined || this.#hasEnded) return;
    known.sockets.delete(socket);
    this.#step(known, "lost");
    if (known.state.kind !== "missed") return;
    this.#missed.add(known);
    if (this.#missed.size === 1) this.#wakeForFirst();
  }

  /**
   * For `hub:who`. The answer is handed to `reply` in the turn in which the socket begins to watch, after all changes that
   * came before: between it and the next `hub:presence` nothing is missing, and nothing is in both.
   */
  async who(socket: HubSocket, message: unknown, reply: (reply: WhoReply) => void): Promise<void> {
    const request = Who.safeParse(message);
    if (!request.success) return reply(refused("MESSAGE_INVALID", request.error));
    const mayWatch = scopeOf(this.#contract.presence ?? {}, socket.data.identity.role) !== undefined;
    if (!mayWatch) return reply(refused("FORBIDDEN"));
    const { after = "", watch } = request.data;
    // Else as many pages as it may ask for at once would wait for a satellite that does not read.
    while (socket.connected && unsentBytes(socket.conn) > this.#limits.unsentBytes) {
      await whenDrained(socket.conn);
    }
    if (!socket.connected) return; // it would be told of changes for ever
    this.#flush();
    reply({ ok: true, ...this.#page(after), graceMs: this.#limits.presenceGraceMs });
    if (watch) this.#watchers.add(socket);
  }

  /** For `hub:unwatch`. */
  unwatch(socket: HubSocket, message: unknown, reply: (reply: DoneReply) => void): void {
    const request = Unwatch.safeParse(message);
    if (!request.success) return reply(refused("MESSAGE_INVALID", request.error));
    this.#watchers.delete(socket);
    reply({ ok: true });
  }

  /** The hub closes: that its satellites go now tells nothing of them. */
  end(): void {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    this.#watchers.clear();
  }

  #step(known: Known, input: PresenceInput): PresenceTold {
    const { presenceGraceMs } = this.#limits;
    const [state, told] = stepPresence(known.state, input, performance.now(), presenceGraceMs);
    known.state = state;
    if (told !== undefined) this.#tell(told, known);
    return told;
  }

  #tell(kind: "came" | "went", known: Known): void {
    const { satellite, role, id, since } = known;
    if (kind === "came") this.#known.set(satellite, known);
    else this.#known.delete(satellite);
    this.#names = undefined;
    if (this.#watchers.size === 0) return;
    this.#changes.push({ kind, satellite, role, id, since });
    if (this.#changes.length === 1) setImmediate(() => this.#flush());
  }

  #wakeForFirst(): void {
    clearTimeout(this.#timer);
    const [first] = this.#missed;
    if (first?.state.kind !== "missed") return;
    this.#timer = setTimeout(() => this.#endGraces(), first.state.untilMs - performance.now());
    this.#timer.unref();
  }

  #endGraces(): void {
    for (const known of this.#missed) {
      if (this.#step(known, "passed") !== "went") break;
      this.#missed.delete(known);
    }
    this.#wakeForFirst();
  }

  /** Tells the watchers what there is to tell, and stops telling those that do not read: what waits for them is bounded. */
  #flush(): void {
    const changes = this.#changes.splice(0);
    const most = Math.max(1, Math.floor(this.#limits.messageBytes / changeLength));
    for (let start = 0; start < changes.length; start += most) {
      const text = JSON.stringify({ changes: changes.slice(start, start + most) });
      const packet = new PacketText(`["hub:presence",${text}]`);
      for (const socket of this.#watchers) {
        if (unsentBytes(socket.conn) > this.#limits.unsentBytes) this.#dropWatcher(socket);
        else socket.emit("hub:presence", packet as never);
      }
    }
  }

  #dropWatcher(socket: HubSocket): void {
    this.#watchers.delete(socket);
    void whenDrained(socket.conn).then(() => {
      this.#watchers.delete(socket); // it may have asked again, without knowing
      if (socket.connected) socket.emit("hub:presence", { changes: [], isOver: true });
    });
  }

  /** What the limits allow of those behind the name; one at least, where there are any. */
  #page(after: string): { readonly satellites: readonly SatelliteStatus[]; readonly next?: string } {
    this.#names ??= [...this.#known.keys()].sort();
    const { messageBytes, unsentBytes } = this.#limits;
    const mostLength = Math.min(messageBytes, unsentBytes) / 2;
    const lags = this.#followers.lags();
    const satellites: SatelliteStatus[] = [];
    let length = 0;
    for (const name of this.#names) {
      if (name <= after) continue;
      const status = this.#statusOf(this.#known.get(name) as Known, lags);
      length += JSON.stringify(status).length;
      const last = satellites.at(-1);
      const isFull = length > mostLength || satellites.length >= mostSatellites;
      if (last !== undefined && isFull) return { satellites, next: last.satellite };
      satellites.push(status);
    }
    return { satellites };
  }

  #statusOf(known: Known, lags: ReadonlyMap<HubSocket, number>): SatelliteStatus {
    const { satellite, role, id, since, sockets } = known;
    let lag = 0;
    const filters: (Filter | undefined)[] = [];
    for (const socket of sockets) {
      const listening = this.#listening.stateOf(socket);
      lag = Math.max(lag, listening?.lag ?? 0, lags.get(socket) ?? 0);
      filters.push(listening?.filter);
    }
    return { satellite, role, id, since, ...roomsOf(known, filters), connections: sockets.size, lag };
  }
}

/** Made anew where the satellite's connections hear something else. */
function roomsOf(known: Known, filters: Rooms["filters"]): Rooms["told"] {
  const before = known.rooms;
  const isSame =
    before?.filters.length === filters.length && filters.every((one, at) => one === before.filters[at]);
  if (before !== undefined && isSame) return before.told;
  const all = new Set(ownRooms(known));
  for (const filter of filters)
    for (const rooms of filter?.events.values() ?? [])
      if (rooms !== "all") for (const room of rooms) all.add(room);
  const rooms = [...all].sort().slice(0, mostRooms);
  const told = { rooms, ...(all.size > mostRooms && { roomCount: all.size }) };
  known.rooms = { filters, told };
  return told;
}
