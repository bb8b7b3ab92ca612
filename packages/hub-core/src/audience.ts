import type { ClientToServerEvents, ServerToClientEvents } from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import type { Filter } from "@orrery/event-log";
import type { Namespace, Socket } from "socket.io";
import { filterName } from "./filter-of.ts";
import type { Heard } from "./heard.ts";
import type { Form, Handshake } from "./identity.ts";

export type HubNamespace = Namespace<
  ClientToServerEvents,
  ServerToClientEvents,
  Record<never, never>,
  Handshake
>;
export type HubSocket = Socket<ClientToServerEvents, ServerToClientEvents, Record<never, never>, Handshake>;

/** All sockets that hear the same events in the same form: one Socket.IO room, so that a packet is encoded once for all. */
export interface Audience {
  readonly room: string;
  readonly form: Form;
  readonly filter: Filter;
  size: number;
}

/** The audiences of one contract that want one event: those that want it whole, and those that want it by room. */
interface Wanting {
  readonly whole: Set<Audience>;
  readonly byRoom: Map<string, Set<Audience>>;
}

/** The live listeners of one contract, by what they want. The only place that knows Socket.IO rooms. */
export class Audiences {
  readonly #namespace: HubNamespace;
  readonly #messageBytes: number;
  readonly #audiences = new Map<string, Audience>();
  readonly #bySocket = new Map<HubSocket, Audience>();
  readonly #wanting = new Map<string, Wanting>();

  constructor(namespace: HubNamespace, messageBytes: number) {
    this.#namespace = namespace;
    this.#messageBytes = messageBytes;
  }

  /** The socket hears, from the next fan-out on, what the filter wants. Replaces what it heard before. */
  join(socket: HubSocket, filter: Filter): void {
    this.leave(socket);
    if (filter.events.size === 0) return;
    const room = roomName(socket.data.form, filter);
    let audience = this.#audiences.get(room);
    if (audience === undefined) {
      audience = { room, form: socket.data.form, filter, size: 0 };
      this.#audiences.set(room, audience);
      this.#index(audience);
    }
    audience.size += 1;
    this.#bySocket.set(socket, audience);
    void socket.join(room); // at once, with the in-memory adapter
  }

  leave(socket: HubSocket): void {
    const audience = this.#bySocket.get(socket);
    if (audience === undefined) return;
    this.#bySocket.delete(socket);
    void socket.leave(audience.room);
    audience.size -= 1;
    if (audience.size > 0) return;
    this.#audiences.delete(audience.room);
    this.#unindex(audience);
  }

  /** What a live socket hears. */
  filterOf(socket: HubSocket): Filter | undefined {
    return this.#bySocket.get(socket)?.filter;
  }

  /** All that are live. */
  sockets(): Iterable<HubSocket> {
    return this.#bySocket.keys();
  }

  /** The audiences that want the event; one that wants it by two of its rooms comes twice. */
  *wanting({ event, rooms }: Heard): Iterable<Audience> {
    const wanting = this.#wanting.get(event);
    if (wanting === undefined) return;
    yield* wanting.whole;
    for (const room of rooms) yield* wanting.byRoom.get(room) ?? [];
  }

  send({ room, form }: Audience, texts: readonly string[]): void {
    const to = this.#namespace.to(room);
    for (const packet of packetsOf(form, "hub:events", texts, this.#messageBytes)) {
      to.emit("hub:events", packet as never);
    }
  }

  /** Tells live listeners that they have been sent all that they want up to the offset: they need not read it again. */
  reached(offset: number): void {
    for (const { room, form } of this.#audiences.values()) {
      if (form === "batched") this.#namespace.to(room).emit("hub:reached", offset);
    }
  }

  #index(audience: Audience): void {
    for (const [event, rooms] of audience.filter.events) {
      let wanting = this.#wanting.get(event);
      if (wanting === undefined) {
        wanting = { whole: new Set(), byRoom: new Map() };
        this.#wanting.set(event, wanting);
      }
      if (rooms === "all") {
        wanting.whole.add(audience);
        continue;
      }
      for (const room of rooms) {
        const audiences = wanting.byRoom.get(room) ?? new Set();
        wanting.byRoom.set(room, audiences.add(audience));
      }
    }
  }

  #unindex(audience: Audience): void {
    for (const [event, rooms] of audience.filter.events) {
      const wanting = this.#wanting.get(event);
      wanting?.whole.delete(audience);
      for (const room of rooms === "all" ? [] : rooms) {
        const audiences = wanting?.byRoom.get(room);
        audiences?.delete(audience);
        if (audiences?.size === 0) wanting?.byRoom.delete(room);
      }
    }
  }
}

/** Events, or runs of them, as packets: one each for a plain client, as few as `messageBytes` allows for a batched one. */
export function* packetsOf(
  form: Form,
  message: "hub:events" | "hub:latest",
  texts: readonly string[],
  messageBytes: number,
): Iterable<PacketText> {
  if (form === "plain") {
    for (const text of texts) yield new PacketText(text);
    return;
  }
  let start = 0;
  let length = 0;
  for (let end = 0; end <= texts.length; end += 1) {
    const next = texts[end]?.length ?? Number.POSITIVE_INFINITY;
    if (end > start && length + next > messageBytes) {
      yield new PacketText(`["${message}",[${texts.slice(start, end).join(",")}]]`);
      start = end;
      length = 0;
    }
    length += next;
  }
}

/** The same for every socket that wants the same. No room of a contract begins so. */
const roomName = (form: Form, filter: Filter): string => `audience ${form} ${filterName(filter)}`;
