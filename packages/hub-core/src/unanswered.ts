import type { Delivery, DeliveryReply } from "@orrery/contracts";
import type { PacketText } from "@orrery/contracts/packet-text";
import type { HubSocket } from "./audience.ts";

/**
 * Deliveries to a connection that wait for their answers. Socket.IO by itself waits for each as long as the connection lives, so
 * that who asks for deliveries again and again, and answers none, would fill the hub.
 */
export class Unanswered {
  readonly #socket: HubSocket;
  /** What Socket.IO numbers them by. */
  readonly #ids = new Map<string, number>();

  constructor(socket: HubSocket) {
    this.#socket = socket;
  }

  /** It takes the place of an earlier one of that name, whose answer counts no more. */
  deliver(name: string, delivery: Delivery | PacketText, onAnswer: (reply: DeliveryReply) => void): void {
    this.#forget(name);
    this.#ids.set(name, this.#socket.nsp._ids); // the next one's
    this.#socket.emit("hub:deliver", delivery as never, (reply) => {
      this.#ids.delete(name);
      onAnswer(reply);
    });
  }

  /** No answer to what was delivered counts any more. */
  end(): void {
    for (const name of this.#ids.keys()) this.#forget(name);
  }

  #forget(name: string): void {
    const id = this.#ids.get(name);
    if (id === undefined) return;
    this.#ids.delete(name);
    answersOf(this.#socket).delete(id);
  }
}

/** Socket.IO calls it private, and has no other way to wait no more. */
export const answersOf = (socket: HubSocket): Map<number, unknown> =>
  (socket as unknown as { readonly acks: Map<number, unknown> }).acks;
