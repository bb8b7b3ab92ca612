import {
  type AnswerRequest,
  type AskReply,
  type Contract,
  type Meta,
  OrreryError,
  type RoleOf,
  type ToMany,
  type ToSatellite,
} from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import { Answerer, type AnswerHandler, type Answering } from "./answerer.ts";
import type { HubSocket } from "./hub-socket.ts";
import { bytesOf, frameBytes, jsonOf } from "./packing.ts";

export interface AskOptions {
  /**
   * How long the answer may take, with the wait for a connection where there is none. Milliseconds, 1 to 60_000, default
   * 5_000.
   */
  readonly timeoutMs?: number;
}

export interface AskOneOptions extends AskOptions {
  /** `{ satellite: "driver:d1" }`: by its name, as in `meta.source`. */
  readonly to: ToSatellite;
}

export interface AskManyOptions<C extends Contract> extends AskOptions {
  /** `{ role: "driver" }` or `{ room: "city:recife" }`. */
  readonly to: ToMany<RoleOf<C>>;
}

/** What came of a question to many. Satellites are in one of the two, by their names, in the order in which that was known. */
export interface Answers<Reply> {
  readonly answers: readonly { readonly from: string; readonly data: Reply }[];
  /**
   * Who was asked and did not answer: `TIMEOUT`, `ANSWER_FAILED`, `ANSWER_INVALID`, `ANSWERS_TOO_LARGE`, `ANSWERER_BUSY`, or,
   * where it was lost meanwhile, `NOBODY_THERE`.
   */
  readonly silent: readonly { readonly from: string; readonly error: OrreryError }[];
}

/** Between the hub's time for an answer and the satellite's own, for the way of the reply. Milliseconds. */
const slackMs = 2_000;
const longestMs = 60_000;

/** A question of this satellite's own. */
interface Asking {
  /** `"event":…,"data":…,"to":…` */
  readonly text: string;
  /** By `performance.now()`. */
  readonly untilMs: number;
  readonly resolve: (reply: Answered) => void;
  readonly reject: (error: unknown) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
  isSent: boolean;
}

type Answered = Extract<AskReply, { readonly ok: true }>;

/** A satellite's questions: those that it asks, and those that it answers. */
export class Questions {
  readonly #socket: HubSocket;
  readonly #onError: (error: unknown, meta?: Meta) => void;
  readonly #open = new Set<Asking>();
  readonly #answerers = new Map<string, Answerer>();
  /** Of one message, while the hub is there. */
  #messageBytes: number | undefined;

  constructor(socket: HubSocket, onError: (error: unknown, meta?: Meta) => void) {
    this.#socket = socket;
    this.#onError = onError;
    socket.on("hub:asked", (entry) => this.#answerers.get(entry[0])?.asked(entry));
  }

  /** Resolves with the reply of the hub; rejects where it is a refusal, or did not come. */
  ask(
    event: string,
    data: unknown,
    { to, timeoutMs = 5_000 }: AskOptions & { readonly to: ToSatellite | ToMany },
  ): Promise<Answered> {
    return new Promise((resolve, reject) => {
      if (!(timeoutMs >= 1 && timeoutMs <= longestMs)) {
        throw new OrreryError("CONFIG_INVALID", { detail: `timeoutMs: 1 to ${longestMs}.` });
      }
      const text = `"event":${jsonOf(event)},"data":${jsonOf(data) ?? null},"to":${jsonOf(to)}`;
      const untilMs = performance.now() + timeoutMs;
      const asking: Asking = { text, untilMs, resolve, reject, timer: undefined, isSent: false };
      asking.timer = setTimeout(() => this.#drop(asking, new OrreryError("TIMEOUT")), timeoutMs);
      this.#open.add(asking);
      this.#send(asking);
    });
  }

  /** Throws `CONFIG_INVALID` where the question has a handler already. */
  answer(request: AnswerRequest, handler: AnswerHandler): Answering {
    const { event } = request;
    if (this.#answerers.has(event)) {
      throw new OrreryError("CONFIG_INVALID", { detail: `This satellite answers "${event}" already.` });
    }
    const answerer = new Answerer(this.#socket, request, handler, this.#onError, () => {
      if (this.#answerers.get(event) === answerer) this.#answerers.delete(event);
    });
    this.#answerers.set(event, answerer);
    if (this.#messageBytes !== undefined) answerer.welcome(this.#messageBytes);
    return { question: event, ready: () => answerer.ready(), stop: () => answerer.stop() };
  }

  /** The hub is there. */
  welcome(messageBytes: number): void {
    this.#messageBytes = messageBytes;
    for (const answerer of this.#answerers.values()) answerer.welcome(messageBytes);
    for (const asking of this.#open) this.#send(asking);
  }

  /** The connection is gone: what was asked on it has no answer any more, what waits for one goes on waiting. */
  lose(): void {
    this.#messageBytes = undefined;
    for (const answerer of this.#answerers.values()) answerer.lose();
    for (const asking of this.#open)
      if (asking.isSent) this.#drop(asking, new OrreryError("CONNECTION_LOST"));
  }

  get isAnswering(): boolean {
    return this.#answerers.size > 0;
  }

  /** Is asked nothing more. Resolves when no handler runs. */
  async stop(): Promise<void> {
    await Promise.all([...this.#answerers.values()].map((answerer) => answerer.stop()));
  }

  /** Nothing is asked or answered any more. */
  end(reason = new OrreryError("CLOSED")): void {
    for (const answerer of [...this.#answerers.values()]) answerer.end(reason);
    for (const asking of this.#open) this.#drop(asking, reason);
  }

  #send(asking: Asking): void {
    if (this.#messageBytes === undefined || asking.isSent) return;
    const leftMs = Math.max(1, Math.ceil(asking.untilMs - performance.now()));
    const text = `["hub:ask",{${asking.text},"timeoutMs":${leftMs}}]`;
    if (bytesOf(text) > this.#messageBytes - frameBytes) {
      return this.#drop(asking, new OrreryError("EVENT_TOO_LARGE"));
    }
    asking.isSent = true;
    clearTimeout(asking.timer);
    asking.timer = setTimeout(() => this.#drop(asking, new OrreryError("TIMEOUT")), leftMs + slackMs);
    this.#socket.emit("hub:ask", new PacketText(text) as never, (reply) => {
      if (!reply.ok) return this.#drop(asking, OrreryError.from(reply.error));
      this.#forget(asking);
      asking.resolve(reply);
    });
  }

  #drop(asking: Asking, error: unknown): void {
    this.#forget(asking);
    asking.reject(error);
  }

  #forget(asking: Asking): void {
    clearTimeout(asking.timer);
    this.#open.delete(asking);
  }
}
