import { nameOf, ownRooms, type ToMany, type ToSatellite } from "@orrery/contracts";
import type { HubSocket } from "./audience.ts";

/** The connections that answer the questions of one contract, by where they are asked. */
export class Answerers {
  /** By question and place; in each, those that said it last come last. */
  readonly #byPlace = new Map<string, Set<HubSocket>>();
  /** By connection and question. */
  readonly #places = new Map<HubSocket, Map<string, readonly string[]>>();

  /** It answers the question: under its name, as one of its role, in its own rooms, and in these. */
  add(socket: HubSocket, event: string, rooms: readonly string[]): void {
    this.remove(socket, event);
    const { identity } = socket.data;
    const everyRoom = new Set([...ownRooms(identity), ...rooms]);
    const places = [
      placeOf(event, { satellite: nameOf(identity) }),
      placeOf(event, { role: identity.role }),
      ...[...everyRoom].map((room) => placeOf(event, { room })),
    ];
    for (const place of places) {
      const there = this.#byPlace.get(place) ?? new Set();
      this.#byPlace.set(place, there.add(socket));
    }
    const ofSocket = this.#places.get(socket) ?? new Map();
    this.#places.set(socket, ofSocket.set(event, places));
  }

  remove(socket: HubSocket, event: string): void {
    const ofSocket = this.#places.get(socket);
    for (const place of ofSocket?.get(event) ?? []) {
      const there = this.#byPlace.get(place);
      there?.delete(socket);
      if (there?.size === 0) this.#byPlace.delete(place);
    }
    ofSocket?.delete(event);
    if (ofSocket?.size === 0) this.#places.delete(socket);
  }

  /** The connection is gone. */
  leave(socket: HubSocket): void {
    for (const event of [...(this.#places.get(socket)?.keys() ?? [])]) this.remove(socket, event);
  }

  /** Who answers the question there: of each satellite the connection that was the last to say so. */
  at(event: string, to: ToSatellite | ToMany): HubSocket[] {
    const last = new Map<string, HubSocket>();
    for (const socket of this.#byPlace.get(placeOf(event, to)) ?? [])
      last.set(nameOf(socket.data.identity), socket);
    return [...last.values()];
  }
}

/** No event's name has a space. */
function placeOf(event: string, { satellite, role, room }: ToSatellite | ToMany): string {
  if (satellite !== undefined) return `${event} satellite ${satellite}`;
  return role !== undefined ? `${event} role ${role}` : `${event} room ${room}`;
}
