import { type ClientToServerEvents, type ErrorBody, OrreryError } from "@orrery/contracts";
import type { HubSocket } from "./hub-socket.ts";
import { restFor } from "./packing.ts";

/** How long an answer of the hub may take. Milliseconds. */
export const askMs = 10_000;

/** Messages of one request, with one answer. */
type Message =
  | "hub:renew"
  | "hub:followers"
  | "hub:unfollow"
  | "hub:forget"
  | "hub:parked"
  | "hub:redrive"
  | "hub:groups"
  | "hub:dead"
  | "hub:drop"
  | "hub:history"
  | "hub:unanswer"
  | "hub:who"
  | "hub:unwatch";
type RequestOf<M extends Message> = Parameters<ClientToServerEvents[M]>[0];
type ReplyTo<M extends Message> = Parameters<Parameters<ClientToServerEvents[M]>[1]>[0];
type DoneOf<M extends Message> = Extract<ReplyTo<M>, { readonly ok: true }>;

/**
 * The hub's answer; undefined where there is no connection, or it was lost before: then none comes. Rejects with `TIMEOUT`
 * after so many milliseconds; default: never.
 */
export function answerTo<M extends Message>(
  socket: HubSocket,
  message: M,
  request: RequestOf<M>,
  mostMs?: number,
): Promise<ReplyTo<M> | undefined> {
  if (!socket.connected) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      socket.off("disconnect", lose);
    };
    const lose = () => {
      end();
      resolve(undefined);
    };
    const timeOut = () => {
      end();
      reject(new OrreryError("TIMEOUT"));
    };
    const timer = mostMs === undefined ? undefined : setTimeout(timeOut, mostMs);
    socket.on("disconnect", lose);
    socket.emit(message as "hub:forget", request as never, (reply) => {
      end();
      resolve(reply as ReplyTo<M>);
    });
  });
}

/** Asks the hub what changes nothing in the satellite, as often as it takes. */
export class Asking {
  readonly #socket: HubSocket;
  readonly #ready: () => Promise<void>;

  /** `ready` resolves when the hub is there, and rejects when it never will be. */
  constructor(socket: HubSocket, ready: () => Promise<void>) {
    this.#socket = socket;
    this.#ready = ready;
  }

  /**
   * Asks when the hub is there, again where the connection is lost meanwhile or the hub says when it may be asked. Rejects with any
   * other refusal, or with `TIMEOUT`.
   */
  async ask<M extends Message>(message: M, request: RequestOf<M>): Promise<DoneOf<M>> {
    for (;;) {
      await this.#ready();
      const reply = await answerTo(this.#socket, message, request, askMs);
      if (reply === undefined) continue;
      if (reply.ok) return reply as DoneOf<M>;
      if (reply.error.retryAfterMs === undefined) throw OrreryError.from(reply.error);
      await this.#rest(reply.error);
    }
  }

  /** An answer that comes in pages, page by page. */
  async *pages<M extends "hub:history" | "hub:who">(
    message: M,
    request: RequestOf<M>,
  ): AsyncIterable<DoneOf<M>> {
    let after: string | undefined;
    do {
      const page: DoneOf<M> = await this.ask(message, { ...request, ...(after !== undefined && { after }) });
      yield page;
      after = page.next;
    } while (after !== undefined);
  }

  /** Resolves when what was refused may be asked again, or when the connection is gone. */
  #rest(error: ErrorBody): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#socket.off("disconnect", end);
        resolve();
      };
      const timer = setTimeout(end, restFor(error));
      this.#socket.on("disconnect", end);
    });
  }
}
