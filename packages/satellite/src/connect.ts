import {
  type Ack,
  type Contract,
  type Cursor,
  type DataIn,
  type DeadEvent,
  type ErrorBody,
  type EventName,
  type FollowerStatus,
  type FollowRequest,
  type Gap,
  type GroupStatus,
  type HistoryEntry,
  type KeepOf,
  type Meta,
  OrreryError,
  type Parked,
  protocolVersion,
  type QuestionName,
  type ReceiptOf,
  type RoleOf,
  type SatelliteStatus,
  type Welcome,
} from "@orrery/contracts";
import { parser } from "@orrery/contracts/packet-text";
import { io } from "socket.io-client";
import { openOutboxStore } from "#outbox-store";
import type { AnswerHandler, AnswerHandlerOf, Answering, AnswerOptions } from "./answerer.ts";
import { Asking, answerTo, askMs } from "./asking.ts";
import { backoffMs } from "./backoff.ts";
import { type Connection, type ConnectionInput, type Status, step } from "./connection.ts";
import { Follower, type FollowHandler } from "./follower.ts";
import type { Handler } from "./handlers.ts";
import { httpRefusal } from "./http-refusal.ts";
import type { HubSocket } from "./hub-socket.ts";
import { Listener } from "./listener.ts";
import { Presence, type PresenceHandlers, type Watching } from "./presence.ts";
import { type AskManyOptions, type AskOneOptions, Questions } from "./questions.ts";
import type {
  ConnectOptions,
  Following,
  FollowOptions,
  HandlerOf,
  Satellite,
  SatelliteOptions,
} from "./satellite.ts";
import { type SayOptions, Speaker } from "./speaker.ts";
import { TokenKeeper, tokenUnavailable } from "./token-keeper.ts";
import type { WorkHandlerOf, Working, WorkOptions } from "./work-context.ts";
import { Worker, type WorkHandler } from "./worker.ts";

/** Connects a satellite to the hub's contract, at once and, after every loss, again. */
export function connect<C extends Contract>(contract: C, options: ConnectOptions<C>): Satellite<C> {
  return new ConnectedSatellite(contract, options);
}

/** Before a connection that the hub ended, or refused for now, is made again; and before any further try. Milliseconds. */
const firstReconnectMs = 500;
const longestReconnectMs = 10_000;

class ConnectedSatellite<C extends Contract> implements Satellite<C> {
  readonly #onStatus: SatelliteOptions["onStatus"];
  readonly #socket: HubSocket;
  /** Where there is a token function. */
  readonly #tokens: TokenKeeper | undefined;
  readonly #asking: Asking;
  readonly #speaker: Speaker;
  readonly #listener: Listener;
  readonly #onError: (error: unknown, meta?: Meta) => void;
  readonly #onGap: (gap: Gap) => void;
  readonly #followers = new Map<string, Follower>();
  readonly #workers = new Map<string, Worker>();
  readonly #questions: Questions;
  readonly #presence: Presence;
  #connection: Connection = { status: "connecting" };
  #ending: Promise<void> | undefined;
  #welcome: Welcome | undefined;
  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  /** Tries in a row that `#reconnectTimer` was for. */
  #reconnects = 0;
  /** Connections so far that are gone, made or not. */
  #connectionsLost = 0;
  #waitingForHub: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #waitingForReady: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  constructor(contract: C, options: ConnectOptions<C>) {
    const { url, role, id, token, rooms, from, outbox, outboxEvents, onStatus, onError, onGap } = options;
    this.#onStatus = onStatus;
    this.#onError = onError ?? ((error) => console.error(error));
    this.#onGap = onGap ?? ((gap) => console.warn("events are missing", gap));
    if (typeof token === "function") {
      this.#tokens = new TokenKeeper({
        give: token,
        renew: (token) => answerTo(this.#socket, "hub:renew", { token }, askMs),
        onError: this.#onError,
      });
    }
    const identity = token === undefined ? { role, id } : { token };
    const store = outbox && openOutboxStore(outbox);
    this.#socket = io(`${url.replace(/\/$/, "")}/${contract.name}`, {
      auth:
        this.#tokens === undefined
          ? { ...identity, protocol: protocolVersion }
          : (send: (auth: object) => void) => void this.#showToken(send),
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      forceNew: true,
      timeout: 5_000, // Socket.IO's default of 20 s is long to wait for a handshake that was lost on the way
      reconnectionDelay: 200,
      reconnectionDelayMax: 2_000,
      parser,
    });
    this.#asking = new Asking(this.#socket, () => this.#welcomed());
    this.#speaker = new Speaker(this.#socket, outboxEvents ?? 10_000, store, this.#onError);
    this.#questions = new Questions(this.#socket, this.#onError);
    this.#presence = new Presence(this.#socket, this.#onError);
    this.#listener = new Listener(this.#socket, {
      from: from ?? "now",
      rooms,
      onError: this.#onError,
      onGap: this.#onGap,
      onSettled: (refusal) => {
        this.#happened(refusal ? { kind: "not-listening", reason: refusal } : { kind: "listening" });
        this.#settleReady(refusal);
      },
    });
    this.#attach();
  }

  get status(): Status {
    return this.#connection.status;
  }

  get cursor(): Cursor | undefined {
    return this.#listener.cursor;
  }

  on<N extends EventName<C>>(event: N, handler: HandlerOf<C, N>): this {
    this.#listener.add(event, handler as Handler);
    return this;
  }

  once<N extends EventName<C>>(event: N, handler: HandlerOf<C, N>): this {
    const first: HandlerOf<C, N> = (data, meta) => {
      this.off(event, first);
      return handler(data, meta);
    };
    return this.on(event, first);
  }

  off<N extends EventName<C>>(event: N, handler?: HandlerOf<C, N>): this {
    this.#listener.remove(event, handler as Handler | undefined);
    return this;
  }

  async emit<N extends EventName<C>>(
    event: N,
    data: DataIn<C, N>,
    options: SayOptions = {},
  ): Promise<ReceiptOf<KeepOf<C, N>>> {
    this.#throwIfEnded();
    return (await this.#speaker.emit(event, data, options)) as ReceiptOf<KeepOf<C, N>>;
  }

  follow<N extends EventName<C>>(
    events: N | readonly N[],
    {
      as,
      from,
      rooms,
      concurrency = 16,
      attempts = 5,
      backoffMs = 100,
      onEnd = this.#onError,
    }: FollowOptions,
    handler: HandlerOf<C, N>,
  ): Following {
    if (!(concurrency >= 1 && attempts >= 1 && backoffMs >= 0)) {
      throw new OrreryError("CONFIG_INVALID", {
        detail: "concurrency and attempts: 1 or more; backoffMs: 0 or more.",
      });
    }
    const request: FollowRequest = {
      as,
      events: typeof events === "string" ? [events] : events,
      ...(rooms !== undefined && { rooms }),
      ...(from !== undefined && { from }),
    };
    const follower = new Follower(this.#socket, {
      request,
      concurrency,
      attempts,
      backoffMs,
      handler: handler as FollowHandler,
      onError: this.#onError,
      onGap: this.#onGap,
      onEnd,
    });
    this.#followers.get(as)?.end(new OrreryError("FOLLOWER_TAKEN_OVER"));
    this.#followers.set(as, follower);
    if (this.#welcome !== undefined) follower.welcome();
    return {
      as,
      get epoch() {
        return follower.epoch;
      },
      ready: () => follower.ready(),
      stop: () => this.#unfollow(follower),
    };
  }

  async followers(): Promise<readonly FollowerStatus[]> {
    return (await this.#asking.ask("hub:followers", {})).followers;
  }

  async forget(as: string): Promise<void> {
    await this.#asking.ask("hub:forget", { as });
  }

  async parked(as: string, after = 0): Promise<readonly Parked[]> {
    return (await this.#asking.ask("hub:parked", { as, after })).parked;
  }

  async redrive(as: string, offset: number): Promise<void> {
    await this.#asking.ask("hub:redrive", { as, offset });
  }

  work<N extends EventName<C>>(
    events: N | readonly N[],
    { group, capacity, leaseMs, attempts, backoffMs, from, rooms, onEnd = this.#onError }: WorkOptions,
    handler: WorkHandlerOf<C, N>,
  ): Working {
    this.#throwIfEnded();
    if (this.#workers.get(group)?.isEnded === false) {
      const detail = `This satellite works in "${group}" already: stop that first, or change its capacity.`;
      throw new OrreryError("CONFIG_INVALID", { detail });
    }
    const worker = new Worker(this.#socket, {
      request: {
        group,
        events: typeof events === "string" ? [events] : events,
        ...(leaseMs !== undefined && { leaseMs }),
        ...(attempts !== undefined && { attempts }),
        ...(backoffMs !== undefined && { backoffMs }),
        ...(from !== undefined && { from }),
        ...(rooms !== undefined && { rooms }),
      },
      capacity,
      handler: handler as unknown as WorkHandler,
      speaker: this.#speaker,
      onError: this.#onError,
      onEnd,
    });
    this.#workers.set(group, worker);
    if (this.#welcome !== undefined) worker.welcome(this.#welcome);
    return {
      group,
      get capacity() {
        return worker.capacity;
      },
      set capacity(changed) {
        worker.capacity = changed;
      },
      ready: () => worker.ready(),
      stop: () => worker.stop(),
    };
  }

  async groups(): Promise<readonly GroupStatus[]> {
    return (await this.#asking.ask("hub:groups", {})).groups;
  }

  async dead(group: string, after = 0): Promise<readonly DeadEvent[]> {
    return (await this.#asking.ask("hub:dead", { group, after })).dead;
  }

  async redriveDead(group: string, offset: number): Promise<void> {
    await this.#asking.ask("hub:redrive", { group, offset });
  }

  async drop(group: string, offset: number): Promise<void> {
    await this.#asking.ask("hub:drop", { group, offset });
  }

  async forgetGroup(group: string): Promise<void> {
    await this.#asking.ask("hub:forget", { group });
  }

  async history(key: string): Promise<readonly HistoryEntry[]> {
    const entries: HistoryEntry[] = [];
    for await (const page of this.#asking.pages("hub:history", { key })) entries.push(...page.entries);
    return entries;
  }

  async ask(question: string, data: unknown, options: AskOneOptions | AskManyOptions<C>): Promise<never> {
    this.#throwIfEnded();
    const { answers, silent } = await this.#questions.ask(question, data, options);
    if (options.to.satellite !== undefined) return answers[0]?.data as never;
    return {
      answers,
      silent: silent.map(({ from, error }) => ({ from, error: OrreryError.from(error) })),
    } as never;
  }

  answer<N extends QuestionName<C>>(
    question: N,
    handler: AnswerHandlerOf<C, N>,
    { rooms }: AnswerOptions = {},
  ): Answering {
    this.#throwIfEnded();
    const request = { event: question, ...(rooms !== undefined && { rooms }) };
    return this.#questions.answer(request, handler as AnswerHandler);
  }

  async who(): Promise<readonly SatelliteStatus<RoleOf<C>>[]> {
    const satellites: SatelliteStatus[] = [];
    for await (const page of this.#asking.pages("hub:who", {})) satellites.push(...page.satellites);
    return satellites;
  }

  watchPresence(handlers: PresenceHandlers<C>): Watching {
    this.#throwIfEnded();
    return this.#presence.watch(handlers);
  }

  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const refusal = this.#ended() ?? this.#listener.refusal;
      if (refusal !== undefined) return reject(refusal);
      this.#waitingForReady.push({ resolve, reject });
      this.#settleReady();
    });
  }

  async close({ drainMs = 2_000 }: { readonly drainMs?: number } = {}): Promise<void> {
    this.#listener.end();
    for (const follower of this.#followers.values()) follower.end();
    this.#presence.end();
    const untilMs = performance.now() + drainMs;
    await this.#stopHandlers(drainMs);
    await this.#speaker.drained(untilMs - performance.now());
    this.#happened({ kind: "closed" });
    await this.#ending;
  }

  async #stopHandlers(mostMs: number): Promise<void> {
    const stopping = [...this.#workers.values()].map((worker) => worker.stop());
    if (this.#questions.isAnswering) stopping.push(this.#questions.stop());
    if (stopping.length === 0 || mostMs <= 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tooLong = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, mostMs);
    });
    await Promise.race([Promise.all(stopping), tooLong]);
    clearTimeout(timer);
  }

  async #unfollow(follower: Follower): Promise<void> {
    follower.end();
    await follower.idle();
    const { as } = follower;
    if (this.#followers.get(as) !== follower) return;
    this.#followers.delete(as);
    // A connection that is lost meanwhile has ended it as well.
    await answerTo(this.#socket, "hub:unfollow", { as });
  }

  #attach(): void {
    const socket = this.#socket;
    socket.on("connect", () => this.#happened({ kind: "connected" }));
    socket.io.on("close", () => {
      this.#connectionsLost += 1;
    });
    socket.on("hub:welcome", (welcome) => {
      this.#welcome = welcome;
      this.#tokens?.begin();
      this.#listener.welcome();
      for (const follower of this.#followers.values()) follower.welcome();
      for (const worker of this.#workers.values()) worker.welcome(welcome); // before what is said under its claims
      this.#speaker.welcome(welcome.limits);
      this.#questions.welcome(welcome.limits.messageBytes);
      this.#presence.welcome();
      for (const { resolve } of this.#waitingForHub.splice(0)) resolve();
      this.#settleReady();
    });
    socket.on("disconnect", (reason) => {
      this.#welcome = undefined;
      this.#tokens?.lose();
      this.#listener.lose();
      for (const follower of this.#followers.values()) follower.lose();
      for (const worker of this.#workers.values()) worker.lose();
      this.#speaker.lose();
      this.#questions.lose();
      this.#presence.lose();
      this.#happened({ kind: "disconnected", isByHub: reason === "io server disconnect" });
    });
    socket.on("connect_error", (error) => {
      const told = (error as { data?: ErrorBody }).data;
      const early = httpRefusal(error);
      if (told?.code !== undefined) this.#refused(told);
      // Socket.IO's client tries again by itself.
      else if (early !== undefined) this.#told(early, false);
    });
    socket.on("hub:gap", (gap) => {
      if (gap.as === undefined && gap.group === undefined) this.#listener.skip(gap);
      this.#onGap(gap);
    });
    socket.on("hub:deliver", (delivery, ack) => {
      this.#followers.get(delivery.as)?.deliver(delivery, this.#onThisConnection(ack));
    });
    socket.on("hub:unfollowed", ({ as, error }) => this.#followers.get(as)?.unfollowed(error));
    socket.on("hub:claims", ({ group, claims }) => this.#workers.get(group)?.claims(claims));
    socket.on("hub:lost", ({ group, offsets }) => this.#workers.get(group)?.lost(offsets));
    socket.on("hub:unworked", ({ group, error }) => this.#workers.get(group)?.unworked(error));
    socket.on("hub:close", (error) => this.#told(error, false));
  }

  /** Socket.IO asks at each connection; what comes when that is gone would go out a second time on the next one. */
  async #showToken(send: (auth: object) => void): Promise<void> {
    const connection = this.#connectionsLost;
    try {
      const token = await this.#tokens?.show();
      if (connection === this.#connectionsLost) send({ token, protocol: protocolVersion });
    } catch (error) {
      if (connection !== this.#connectionsLost) return;
      this.#socket.disconnect(); // a hub need not wait meanwhile
      this.#happened({ kind: "no-token" });
      this.#onError(error);
    }
  }

  #refused(error: ErrorBody): void {
    this.#told(error, true);
    if (error.code === "TOKEN_EXPIRED" && this.#tokens !== undefined)
      this.#onError(tokenUnavailable(OrreryError.from(error)));
  }

  #told(error: ErrorBody, isHandshake: boolean): void {
    this.#happened({ kind: "told", error, isHandshake, hasNewToken: this.#tokens !== undefined });
  }

  /** Socket.IO would send a late answer on the next connection, where it may answer something else. */
  #onThisConnection<Reply>(ack: Ack<Reply>): Ack<Reply> {
    const { id } = this.#socket;
    return (reply) => {
      if (this.#socket.id === id) ack(reply);
    };
  }

  #happened(input: ConnectionInput): void {
    const before = this.#connection;
    const [after, effect] = step(before, input);
    this.#connection = after;
    if (input.kind === "connected") this.#reconnects = 0;
    if (effect === "reconnect") this.#reconnect();
    if (effect === "end") this.#end();
    const isApart = after.status === "connecting" || after.status === "offline";
    const isToldWhy = isApart && after.reason?.code !== before.reason?.code;
    if (after.status !== before.status || isToldWhy) this.#onStatus?.(after.status, after.reason);
  }

  #reconnect(): void {
    this.#reconnects += 1;
    clearTimeout(this.#reconnectTimer);
    const ms = backoffMs(this.#reconnects, firstReconnectMs, longestReconnectMs);
    this.#reconnectTimer = setTimeout(() => this.#socket.connect(), ms);
  }

  #end(): void {
    this.#tokens?.end();
    clearTimeout(this.#reconnectTimer);
    const ended = this.#ended();
    this.#questions.end(ended);
    this.#presence.end(ended);
    this.#socket.disconnect();
    for (const follower of this.#followers.values())
      follower.end(ended?.code === "CLOSED" ? undefined : ended);
    for (const worker of this.#workers.values()) worker.end(ended?.code === "CLOSED" ? undefined : ended);
    this.#ending = this.#speaker.end(ended);
    for (const { reject } of this.#waitingForHub.splice(0)) reject(ended);
    this.#settleReady(ended);
  }

  /** Why nothing can be said or heard any more. */
  #ended(): OrreryError | undefined {
    const { status, reason } = this.#connection;
    if (status === "refused") return reason;
    return status === "closed" ? new OrreryError("CLOSED") : undefined;
  }

  /** Resolves when the hub is there, whatever it says of what this one wants to hear. */
  async #welcomed(): Promise<void> {
    this.#throwIfEnded();
    if (this.#welcome !== undefined) return;
    await new Promise<void>((resolve, reject) => this.#waitingForHub.push({ resolve, reject }));
  }

  #throwIfEnded(): void {
    const ended = this.#ended();
    if (ended !== undefined) throw ended;
  }

  #settleReady(refusal?: OrreryError): void {
    if (refusal === undefined && !(this.#welcome !== undefined && this.#listener.isSettled)) return;
    for (const { resolve, reject } of this.#waitingForReady.splice(0)) {
      if (refusal === undefined) resolve();
      else reject(refusal);
    }
  }
}
