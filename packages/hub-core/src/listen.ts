import {
  type Contract,
  type Cursor,
  type ErrorBody,
  errorBody,
  eventOf,
  type Identity,
  type ListenReply,
  type ListenRequest,
  ownRooms,
  scopeOf,
} from "@orrery/contracts";
import { type EventLog, type Filter, isWanted } from "@orrery/event-log";
import { z } from "zod";
import { type Audiences, type HubSocket, packetsOf } from "./audience.ts";
import { heardEncoder } from "./heard.ts";
import { issuesOf } from "./identity.ts";
import type { Limits } from "./limits.ts";
import type { Publisher } from "./publish.ts";
import type { Tail } from "./tail.ts";

const Request = z.strictObject({
  events: z.array(z.string()).max(1_000),
  rooms: z.array(z.string()).optional(),
  after: z.string().max(200).optional(),
});

export const cursorOf = (epoch: string, offset: number): Cursor => `${epoch}:${offset}`;

/** Sets what sockets hear: at once from now on, or after catching up from a cursor. */
export class Listening {
  readonly #contract: Contract;
  readonly #log: EventLog;
  readonly #publisher: Publisher;
  readonly #tail: Tail;
  readonly #audiences: Audiences;
  readonly #limits: Limits;
  readonly #toHeard = heardEncoder();
  /** Sockets that are not live yet. A newer entry, or none, ends the loop that made the older one. */
  readonly #catchingUp = new Map<HubSocket, { filter: Filter }>();

  constructor(
    contract: Contract,
    log: EventLog,
    publisher: Publisher,
    tail: Tail,
    audiences: Audiences,
    limits: Limits,
  ) {
    this.#contract = contract;
    this.#log = log;
    this.#publisher = publisher;
    this.#tail = tail;
    this.#audiences = audiences;
    this.#limits = limits;
  }

  /**
   * For `hub:listen`. The reply is handed to `reply` before any event is sent. `onFault` hears of a log that could not be
   * read: the socket then hears nothing more until it listens again.
   */
  listen(
    socket: HubSocket,
    message: unknown,
    reply: (reply: ListenReply) => void,
    onFault: (error: unknown) => void,
  ): void {
    const request = Request.safeParse(message);
    if (!request.success)
      return reply({ ok: false, error: errorBody("MESSAGE_INVALID", issuesOf(request.error)) });
    const { events, rooms, after } = request.data;
    const filter = filterOf(this.#contract, socket.data.identity, events, rooms, this.#limits);
    if ("code" in filter) return reply({ ok: false, error: filter });

    const start = this.#startOf(after as ListenRequest["after"]);
    if (start === undefined) return reply({ ok: false, error: errorBody("CURSOR_INVALID") });
    reply(this.#reply(start));
    const turn = this.#catchingUp.get(socket);
    if (start.from !== "now") {
      this.#audiences.leave(socket);
      this.#catchUp(socket, filter, start.from).catch((error) => onFault(error));
    } else if (turn === undefined) {
      this.#audiences.join(socket, filter);
    } else {
      turn.filter = filter; // it goes on from where it is
    }
  }

  /** The socket is gone. */
  leave(socket: HubSocket): void {
    this.#catchingUp.delete(socket);
    this.#audiences.leave(socket);
  }

  #startOf(after: ListenRequest["after"]): { from: number | "now"; hasGap?: boolean } | undefined {
    if (after === undefined) return { from: "now" };
    if (after === "start") return { from: 0 };
    const [, epoch, digits] = /^([^:]+):(\d{1,15})$/.exec(after) ?? [];
    if (epoch === undefined) return undefined;
    if (epoch !== this.#log.epoch) return { from: 0, hasGap: true };
    const offset = Number(digits);
    return offset <= this.#publisher.head ? { from: offset } : undefined;
  }

  #reply({ from, hasGap }: { from: number | "now"; hasGap?: boolean }): ListenReply {
    const cursor = cursorOf(this.#log.epoch, from === "now" ? this.#publisher.head : from);
    return hasGap ? { ok: true, cursor, gap: { reason: "epoch" } } : { ok: true, cursor };
  }

  /**
   * Reads the log in pages, each sent when the socket has answered the one before, until the rest is in the tail; then,
   * in one turn, sends that rest and joins the audience: no event in between is missed, none comes twice.
   */
  async #catchUp(socket: HubSocket, filter: Filter, after: number): Promise<void> {
    const turn = { filter };
    this.#catchingUp.set(socket, turn);
    const isOver = () => this.#catchingUp.get(socket) !== turn;
    let position = after;
    while (position < this.#tail.start) {
      const upTo = this.#publisher.head;
      const page = await this.#log.read({ after: position, upTo, filter: turn.filter });
      if (isOver()) return;
      const texts = page.events.map((event) => this.#toHeard(event, event.offset).text);
      for (const packet of packetsOf("batched", texts, this.#limits.messageBytes)) {
        await new Promise<void>((resolve) => socket.emit("hub:events", packet as never, () => resolve()));
        if (isOver()) return;
      }
      position = page.through;
    }
    const rest = this.#tail.after(position).filter((event) => isWanted(turn.filter, event));
    const texts = rest.map(({ text }) => text);
    for (const packet of packetsOf("batched", texts, this.#limits.messageBytes)) {
      socket.emit("hub:events", packet as never);
    }
    this.#catchingUp.delete(socket);
    this.#audiences.join(socket, turn.filter);
  }
}

/**
 * What a satellite hears when it asks for these events and rooms; without them, all that its role may hear. Asking for
 * more than the contract allows is refused as a whole.
 */
export function filterOf(
  contract: Contract,
  identity: Identity,
  events: readonly string[] | undefined,
  rooms: readonly string[] | undefined,
  limits: Limits,
): Filter | ErrorBody {
  if (rooms !== undefined && rooms.length > limits.listenRooms) return errorBody("MESSAGE_INVALID");
  if (rooms?.some((room) => !isRoom(contract, room))) return errorBody("ROOM_INVALID");
  const own = ownRooms(identity);
  const wanted = new Map<string, "all" | ReadonlySet<string>>();
  for (const name of events ?? Object.keys(contract.events)) {
    const event = eventOf(contract, name);
    if (event === undefined) return errorBody("UNKNOWN_EVENT");
    const scope = scopeOf(event.hear, identity.role);
    if (scope === undefined) {
      if (events !== undefined) return errorBody("FORBIDDEN");
      continue;
    }
    if (scope === "own" && rooms?.some((room) => !own.includes(room))) return errorBody("FORBIDDEN");
    const narrowed = rooms ?? (scope === "own" ? own : undefined);
    const inRooms = narrowed?.filter((room) => Object.hasOwn(event.rooms ?? {}, prefixOf(room)));
    wanted.set(name, inRooms === undefined ? "all" : new Set(inRooms));
  }
  return { contract: contract.name, events: wanted };
}

const prefixOf = (room: string): string => room.slice(0, room.indexOf(":"));

function isRoom(contract: Contract, room: string): boolean {
  const prefix = prefixOf(room);
  const isKnown = Object.values(contract.events).some(
    ({ rooms }) => rooms !== undefined && Object.hasOwn(rooms, prefix),
  );
  return isKnown && room.length > prefix.length + 1;
}
