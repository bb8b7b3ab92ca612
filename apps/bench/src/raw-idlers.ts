import type { IncomingMessage } from "node:http";
import type { Key } from "@orrery/tokens";
import { WebSocket } from "ws";
import { tokenFor } from "./keys.ts";

/** What became of attempts to connect. */
export interface Connected {
  readonly accepted: number;
  /** By the code that the server gave, or the HTTP status. */
  readonly refused: Readonly<Record<string, number>>;
  readonly wallMs: number;
}

/** Of the message with which a hub refuses a handshake. */
const refusalStart = "44/parcels,";

/** Connections that only are there: each has joined, answers pings, and counts the events that it hears. */
export class RawIdlers {
  readonly #sockets: WebSocket[] = [];
  #heard = 0;

  /** Events heard, over all of them. */
  get heard(): number {
    return this.#heard;
  }

  /** Connects so many, some at a time; the first of them is called `l<first>`. With a `key` each has a token of its own. */
  async connect(url: string, first: number, count: number, atOnce: number, key?: Key): Promise<Connected> {
    const ids = Array.from({ length: count }, (_, place) => `l${first + place}`);
    const signed = key && (await Promise.all(ids.map((id) => tokenFor(key, `logger:${id}`))));
    const refused: Record<string, number> = {};
    const startMs = performance.now();
    let next = 0;
    const one = async () => {
      while (next < count) {
        const place = next++;
        const who = signed === undefined ? { role: "logger", id: ids[place] } : { token: signed[place] };
        const refusal = await this.#connectOne(url, { ...who, events: ["pickup"] });
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
  async #connectOne(url: string, auth: object): Promise<string | undefined> {
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
          socket.send(`40/parcels,${JSON.stringify(auth)}`);
        } else if (start.startsWith(refusalStart)) {
          resolve(JSON.parse((data as Buffer).toString("utf8", refusalStart.length)).data.code);
          socket.terminate();
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
