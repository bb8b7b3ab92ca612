import { WebSocket } from "ws";

/**
 * Followers for the price of a socket: they say that everything is handled, and look at no more of a delivery than its
 * offsets, which must be in order.
 */
export class RawFollowers {
  #sockets: WebSocket[] = [];
  #delivered = 0;
  #fault: string | undefined;

  get delivered(): number {
    if (this.#fault !== undefined) throw new Error(this.#fault);
    return this.#delivered;
  }

  /** Resolves when all of them follow, each under `as`, from the start of the log. */
  async connect(url: string, as: string, count: number): Promise<void> {
    for (let follower = 0; follower < count; follower += 1) await this.#connectOne(url, as, follower);
  }

  /** Resolves when their connections are closed. */
  async close(): Promise<void> {
    const closed = this.#sockets.map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    for (const socket of this.#sockets) socket.close();
    this.#sockets = [];
    this.#delivered = 0;
    await Promise.all(closed);
  }

  async #connectOne(url: string, as: string, number: number): Promise<void> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, {
      perMessageDeflate: false,
      skipUTF8Validation: true,
    });
    this.#sockets.push(socket);
    const auth = { role: "logger", id: `f${number}`, protocol: 1 };
    const request = { as, events: ["pickup"], from: "start" };
    let last = 0;
    await new Promise<void>((resolve, reject) => {
      socket.on("error", reject);
      socket.on("message", (data) => {
        const bytes = data as Buffer;
        const start = bytes.toString("latin1", 0, 12);
        if (start.startsWith("42/parcels,")) {
          const content = bytes.indexOf("[");
          const ackId = bytes.toString("latin1", 11, content);
          if (ackId === "") return;
          last = this.#take(bytes, last);
          socket.send(`43/parcels,${ackId}[{}]`);
        } else if (start.startsWith("0")) socket.send(`40/parcels,${JSON.stringify(auth)}`);
        else if (start === "2") socket.send("3");
        else if (start === "40/parcels,{")
          socket.send(`42/parcels,0["hub:follow",${JSON.stringify(request)}]`);
        else if (start.startsWith("43/parcels,0")) resolve();
        else reject(new Error(`not understood: ${bytes.toString()}`));
      });
    });
  }

  /** The log has events of one kind only, so a delivery is as many as its offsets tell. The last of them. */
  #take(bytes: Buffer, last: number): number {
    const first = offsetAt(bytes, bytes.indexOf('"offset":'));
    const end = offsetAt(bytes, bytes.lastIndexOf('"offset":'));
    if (first !== last + 1) this.#fault ??= `after offset ${last} came ${first}`;
    this.#delivered += end - first + 1;
    return end;
  }
}

const offsetAt = (bytes: Buffer, at: number): number =>
  Number.parseInt(bytes.toString("latin1", at + '"offset":'.length, at + 40), 10);
