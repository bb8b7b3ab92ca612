import type { Accepted, SettledReply, WireLimits } from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import type { HubSocket } from "./hub-socket.ts";
import { Outbox } from "./outbox.ts";
import { bytesOf } from "./packing.ts";
import { Sender } from "./sender.ts";

type Settled = Extract<SettledReply, { readonly ok: true }>;

/**
 * The settles of one group that have no answer yet. What was refused for now, or not answered before the connection was lost,
 * goes out again, until its claim is lost.
 */
export class Settler {
  readonly #sender: Sender<Settled>;

  constructor(socket: HubSocket, group: string) {
    const name = JSON.stringify(group);
    this.#sender = new Sender<Settled>({
      outbox: new Outbox(),
      send(texts, answered) {
        const packet = new PacketText(`["hub:settle",{"group":${name},"settles":[${texts}]}]`);
        socket.emit("hub:settle", packet as never, (reply) => answered(reply.ok ? reply.replies : reply));
      },
    });
  }

  /**
   * `text`: a `Settle`; `events`: how many it says. Resolves with their receipts when it is on disk; rejects with the hub's
   * refusal, or with the signal's reason when that aborts.
   */
  settle(text: string, events: number, signal: AbortSignal): Promise<readonly Accepted[]> {
    return new Promise((resolve, reject) => {
      const accept = ({ receipts }: Settled) => resolve(receipts);
      const entry = { text, bytes: bytesOf(text), events: 1 + events, resolve: accept, reject };
      this.#sender.add(entry, undefined, signal);
    });
  }

  /** The hub has taken the satellite into the group. */
  start(limits: WireLimits): void {
    this.#sender.start(limits);
  }

  /** The connection is gone, or the membership, and with it every answer that was on its way. */
  lose(): void {
    this.#sender.lose();
  }
}
