import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";

/** What became of attempts to connect. */
export interface Connected {
  readonly accepted: number;
  /** By the code that the server gave, or the HTTP status. */
  readonly refused: Readonly<Record<string, number>>;
  readonly wallMs: number;
}

/** Connections that only are there: each has joined, answers pings, and counts the events that it hears. */
export class RawIdlers {
  readonly #sockets: WebSocket[] = [];
  #heard = 0;

  /** Events heard, over all of them. */
  get heard(): number {
    return this.#heard;
  }

  /** Connects so many, some at a time; the first of them is called `l<first>`. */
  async connect(url: string, first: number, count: number, atOnce: number): Promise<Connected> {
    const refused: Record<string, number> = {};
    const startMs = performance.now();
    let next = first;
    const one = async () => {
      while (next < first + count) {
        const refusal = await this.#connectOne(url, next++);
        if (refusal !== undefined) refused[refusal] = (refused[refusal] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: atOnce }, one));
    const sum = Object.values(refused).reduce((total, times) => total + times, 0);
    return { accepted: count - sum, refused, wallMs: performance.now() - startMs };
  }

  /** The last so many go. */
  async disconnect(count: number): Promise<void> {
    const leaving = this.#sockets.splice(-count);
    const gone = leaving.map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    for (const socket of leaving) socket.terminate();
    await Promise.all(gone);
  }

  /** Undefined: it has joined. */
  async #connectOne(url: string, number: number): Promise<string | undefined> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, {
      perMessageDeflate: false,
      skipUTF8Validation: true,
    });
    socket.on("error", () => undefined);
    const refusal = await new Promise<string | undefined>((resolve) => {
      socket.on("unexpected-response", (_request, response) => void codeOf(response).then(resolve));
      socket.on("close", () => resolve("closed"));
      socket.on("message", (data) => {
        const start = (data as Buffer).toString("latin1", 0, 24);
        if (start.startsWith("0")) {
          const auth = { role: "logger", id: `l${number}`, events: ["pickup"] };
          socket.send(`40/parcels,${JSON.stringify(auth)}`);
        } else if (start === "2") socket.send("3");
        else if (start.startsWith("40/parcels,")) resolve(undefined);
        else if (start.startsWith('42/parcels,["pickup"')) this.#heard += 1;
      });
    });
    if (refusal === undefined) this.#sockets.push(socket);
    return refusal;
  }
}

async function codeOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response) text += chunk;
  try {
    return JSON.parse(text).message;
  } catch {
    return String(response.statusCode);
  }
}
