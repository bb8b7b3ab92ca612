import {
  type AnswerRequest,
  type Contract,
  type DataOut,
  type HeardEntry,
  type Meta,
  OrreryError,
  type QuestionName,
  type ReplyIn,
} from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import { answerTo } from "./asking.ts";
import type { HubSocket } from "./hub-socket.ts";
import { bytesOf, frameBytes, jsonOf, restFor } from "./packing.ts";

export type AnswerHandlerOf<C extends Contract, N extends QuestionName<C>> = (
  data: DataOut<C, N>,
  meta: Meta,
) => ReplyIn<C, N> | Promise<ReplyIn<C, N>>;

/** A handler whatever the contract. */
export type AnswerHandler = (data: never, meta: Meta) => unknown;

export interface AnswerOptions {
  /** Besides its own rooms, those in which the satellite is asked: `city:recife`. */
  readonly rooms?: readonly string[];
}

/** A running `answer`. */
export interface Answering {
  readonly question: string;
  /** Resolves when the hub knows of it; rejects when it was refused. */
  ready(): Promise<void>;
  /** Is asked nothing more, and waits for handlers that run. */
  stop(): Promise<void>;
}

/** The hub takes no longer text for why a question cannot be answered. */
const errorLength = 1_000;

/** One question that the satellite answers: tells the hub, calls the handler, and sends what it returns. */
export class Answerer {
  readonly #socket: HubSocket;
  readonly #request: AnswerRequest;
  readonly #handler: AnswerHandler;
  readonly #onError: (error: unknown, meta?: Meta) => void;
  readonly #onEnd: () => void;
  #state: "waiting" | "answering" | "stopping" | "ended" = "waiting";
  #endReason: OrreryError | undefined;
  /** Of one message, on the connection at hand. */
  #messageBytes = 0;
  #restTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #running = new Set<Promise<void>>();
  #waitingForReady: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  constructor(
    socket: HubSocket,
    request: AnswerRequest,
    handler: AnswerHandler,
    onError: (error: unknown, meta?: Meta) => void,
    onEnd: () => void,
  ) {
    this.#socket = socket;
    this.#request = request;
    this.#handler = handler;
    this.#onError = onError;
    this.#onEnd = onEnd;
  }

  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#state === "answering") resolve();
      else if (this.#state === "waiting") this.#waitingForReady.push({ resolve, reject });
      else reject(this.#endReason ?? new OrreryError("CLOSED"));
    });
  }

  /** The hub is there. */
  welcome(messageBytes: number): void {
    this.#messageBytes = messageBytes;
    this.#tell();
  }

  #tell(): void {
    if (this.#state !== "waiting") return;
    this.#socket.emit("hub:answer", this.#request, (reply) => {
      if (this.#state !== "waiting") return;
      if (!reply.ok && reply.error.retryable) {
        clearTimeout(this.#restTimer);
        this.#restTimer = setTimeout(() => this.#tell(), restFor(reply.error));
        return;
      }
      if (!reply.ok) {
        const reason = OrreryError.from(reply.error);
        this.#onError(reason);
        return this.end(reason);
      }
      this.#state = "answering";
      for (const { resolve } of this.#waitingForReady.splice(0)) resolve();
    });
  }

  lose(): void {
    clearTimeout(this.#restTimer);
    if (this.#state === "answering") this.#state = "waiting";
  }

  async stop(): Promise<void> {
    if (this.#state !== "ended") {
      this.#state = "stopping";
      await this.#unanswer();
      this.end(new OrreryError("CLOSED"));
    }
    await Promise.all(this.#running);
  }

  end(reason: OrreryError): void {
    if (this.#state === "ended") return;
    clearTimeout(this.#restTimer);
    this.#state = "ended";
    this.#endReason = reason;
    for (const { reject } of this.#waitingForReady.splice(0)) reject(reason);
    this.#onEnd();
  }

  asked(entry: HeardEntry): void {
    const running = this.#answer(entry).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** What the hub asks until it has heard of it is answered. A connection that is lost meanwhile has ended it as well. */
  async #unanswer(): Promise<void> {
    await answerTo(this.#socket, "hub:unanswer", { event: this.#request.event });
  }

  async #answer(entry: HeardEntry): Promise<void> {
    const { id: connection } = this.#socket;
    const meta = entry[2];
    const text = await this.#replyTo(entry);
    // On another connection nobody waits for it.
    if (this.#socket.id !== connection) return;
    this.#socket.emit("hub:reply", new PacketText(text) as never, (reply) => {
      if (!reply.ok) this.#onError(OrreryError.from(reply.error), meta);
    });
  }

  async #replyTo([, data, meta]: HeardEntry): Promise<string> {
    const id = jsonOf(meta.id);
    try {
      const answer = jsonOf(await this.#handler(data as never, meta));
      const text = `["hub:reply",{"id":${id},"data":${answer ?? null}}]`;
      if (bytesOf(text) > this.#messageBytes - frameBytes) throw new OrreryError("EVENT_TOO_LARGE");
      return text;
    } catch (error) {
      this.#onError(error, meta);
      const said = error instanceof Error ? error.message : String(error);
      return `["hub:reply",{"id":${id},"error":${jsonOf(said.slice(0, errorLength))}}]`;
    }
  }
}
