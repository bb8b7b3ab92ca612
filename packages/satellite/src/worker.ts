import {
  type Claim,
  type ErrorBody,
  type Meta,
  OrreryError,
  type Welcome,
  type WireLimits,
  type WorkReply,
  type WorkRequest,
} from "@orrery/contracts";
import { nextLookMs } from "./claim.ts";
import { type AnyContext, HeldClaim } from "./held-claim.ts";
import type { HubSocket } from "./hub-socket.ts";
import { restFor } from "./packing.ts";
import { Settler } from "./settler.ts";
import type { Speaker } from "./speaker.ts";

export type WorkHandler = (data: never, context: AnyContext) => unknown;

export interface WorkerOptions {
  readonly request: Omit<WorkRequest, "capacity" | "held">;
  readonly capacity: number;
  readonly handler: WorkHandler;
  readonly speaker: Speaker;
  readonly onError: (error: unknown, meta?: Meta) => void;
  readonly onEnd: (reason: OrreryError) => void;
}

const mostCapacity = 10_000;
/** As a capacity: the hub has to be told again. */
const unknown = -1;
/** One token of a `hub:hold` as JSON, at most. Bytes. */
const tokenBytes = 64;

/** The satellite's end of one membership in a group: runs a handler for each claim, renews leases, carries settles. */
export class Worker {
  readonly #socket: HubSocket;
  readonly #options: WorkerOptions;
  readonly #settler: Settler;
  /** `joined`: the hub has taken it in on this connection. */
  #state: "away" | "joining" | "joined" | "ended" = "away";
  #capacity: number;
  /** What the hub knows, or is being told; one question at a time. */
  #toldCapacity = 0;
  #isTelling = false;
  #isStopping = false;
  #isClosed = false;
  #limits: WireLimits | undefined;
  #epoch: string | undefined;
  /** By offset: claims whose handler runs, or whose settle has no answer yet, lost ones too. */
  readonly #claims = new Map<number, HeldClaim>();
  /** The same, and those whose place somebody newer has taken. */
  #open = 0;
  #lookTimer: ReturnType<typeof setTimeout> | undefined;
  #lookMs = Number.POSITIVE_INFINITY;
  #restTimer: ReturnType<typeof setTimeout> | undefined;
  #whenIdle: (() => void)[] = [];
  #waitingForReady: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  constructor(socket: HubSocket, options: WorkerOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#capacity = checked(options.capacity);
    this.#settler = new Settler(socket, options.request.group);
  }

  get group(): string {
    return this.#options.request.group;
  }

  get isEnded(): boolean {
    return this.#state === "ended";
  }

  get capacity(): number {
    return this.#capacity;
  }

  set capacity(capacity: number) {
    this.#capacity = checked(capacity);
    this.#tell();
  }

  /** Resolves when the hub has taken it into the group. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.isEnded || this.#isStopping) reject(new OrreryError("CLOSED"));
      else if (this.#state === "joined") resolve();
      else this.#waitingForReady.push({ resolve, reject });
    });
  }

  /** The hub is there. */
  welcome({ limits, cursor }: Welcome): void {
    if (this.isEnded) return;
    const before = this.#epoch;
    this.#epoch = cursor.slice(0, cursor.indexOf(":"));
    if (before !== undefined && before !== this.#epoch) {
      for (const claim of this.#claims.values()) claim.over("The hub has another log.");
    }
    this.#limits = limits;
    this.#join();
  }

  /** The connection is gone. Handlers go on: the hub keeps their claims for a while. */
  lose(): void {
    if (!this.isEnded) this.#leave();
  }

  claims(handedOver: readonly Claim[]): void {
    if (this.#state === "away" || this.isEnded) return; // the leases cover it
    for (const claim of handedOver) {
      const { offset, token, leaseMs } = claim;
      const known = this.#claims.get(offset);
      if (known?.token.token === token) continue;
      known?.over("The event was handed over anew.");
      const held = this.#held(claim);
      this.#claims.set(offset, held);
      this.#lookBy(performance.now() + leaseMs / 3);
      void this.#run(held);
    }
  }

  /** The hub has taken claims away. */
  lost(offsets: readonly number[]): void {
    for (const offset of offsets) this.#claims.get(offset)?.reported();
    // Whoever let a lease run out is given nothing before it shows that it is there.
    this.#toldCapacity = unknown;
    this.#tell();
  }

  /** The hub has ended the membership, or refused it. */
  unworked(error: ErrorBody): void {
    if (this.isEnded) return;
    const reason = OrreryError.from(error);
    if (!reason.retryable) return this.end(reason);
    this.#leave();
    this.#restTimer = setTimeout(() => this.#join(), restFor(error));
  }

  /** Takes nothing more; resolves when no handler runs, and what they have settled was answered. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const { reject } of this.#waitingForReady.splice(0)) reject(new OrreryError("CLOSED"));
    this.#tell();
    if (!this.#isIdle) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    this.end();
  }

  /** All claims are lost. `reason` where it was not asked for. */
  end(reason?: OrreryError): void {
    if (this.isEnded) return;
    this.#leave();
    this.#state = "ended";
    this.#isClosed = reason === undefined;
    for (const claim of this.#claims.values()) {
      claim.over(reason?.message ?? "This satellite works on it no more.", reason);
    }
    clearTimeout(this.#lookTimer);
    for (const { reject } of this.#waitingForReady.splice(0)) reject(reason ?? new OrreryError("CLOSED"));
    if (reason !== undefined) this.#options.onEnd(reason);
  }

  #leave(): void {
    this.#state = "away";
    this.#isTelling = false;
    this.#settler.lose();
    clearTimeout(this.#restTimer);
    this.#wakeIfIdle();
  }

  get #wantedCapacity(): number {
    return this.#isStopping ? 0 : this.#capacity;
  }

  /** The first on a connection says what is still worked on, running or settled without an answer. */
  #join(): void {
    this.#state = "joining";
    const held = [...this.#claims.values()].filter(({ isHeld }) => isHeld);
    this.#ask(held);
  }

  #tell(): void {
    if (this.#state !== "joined" || this.#isTelling || this.#toldCapacity === this.#wantedCapacity) return;
    this.#ask([]);
  }

  #ask(held: readonly HeldClaim[]): void {
    this.#isTelling = true;
    this.#toldCapacity = this.#wantedCapacity;
    const request: WorkRequest = {
      ...this.#options.request,
      capacity: this.#toldCapacity,
      ...(held.length > 0 && { held: held.map(({ token }) => token) }),
    };
    this.#socket.emit("hub:work", request, (reply) => this.#answered(reply, held));
  }

  #answered(reply: WorkReply, held: readonly HeldClaim[]): void {
    if (!this.#isTelling) return; // it has ended
    this.#isTelling = false;
    if (!reply.ok) return this.unworked(reply.error);
    const lost = new Set(reply.lost);
    for (const claim of held) if (lost.has(claim.token.offset)) claim.reported();
    const isJoining = this.#state === "joining";
    this.#state = "joined";
    if (isJoining && this.#limits !== undefined) {
      this.#settler.start(this.#limits);
      this.#renew(performance.now()); // what was missed while the connection was gone
      this.#options.speaker.resume();
    }
    for (const { resolve } of this.#waitingForReady.splice(0)) resolve();
    this.#tell();
    this.#wakeIfIdle();
  }

  #held(claim: Claim): HeldClaim {
    return new HeldClaim({
      group: this.group,
      claim,
      speaker: this.#options.speaker,
      settler: this.#settler,
      onError: (error, meta) => this.#report(error, meta),
      isJoined: () => this.#state === "joined",
      nowMs: () => performance.now(),
    });
  }

  /** Who closes a satellite while handlers run knows that their claims are lost. */
  #report(error: unknown, meta: Meta): void {
    const isExpected = this.#isClosed && error instanceof OrreryError && error.code === "LEASE_LOST";
    if (!isExpected) this.#options.onError(error, meta);
  }

  async #run(claim: HeldClaim): Promise<void> {
    this.#open += 1;
    if (this.#isStopping) await claim.context.back().catch(() => undefined);
    else await claim.finish(await this.#handle(claim));
    this.#open -= 1;
    const { offset } = claim.token;
    if (this.#claims.get(offset) === claim) this.#claims.delete(offset);
    this.#wakeIfIdle();
  }

  /** What it threw. */
  async #handle({ data, context }: HeldClaim): Promise<{ readonly error: unknown } | undefined> {
    try {
      await this.#options.handler(data as never, context);
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  /** Leases that are over are lost first: an event loop that was blocked does not renew what somebody else may have. */
  #look(): void {
    const nowMs = performance.now();
    this.#lookTimer = undefined;
    this.#lookMs = Number.POSITIVE_INFINITY;
    for (const claim of this.#claims.values()) claim.expire();
    this.#renew(nowMs);
    const leases = [...this.#claims.values()].filter(({ isHeld }) => isHeld).map(({ lease }) => lease);
    if (leases.length > 0) this.#lookBy(nextLookMs(leases, nowMs));
  }

  #lookBy(lookMs: number): void {
    if (lookMs >= this.#lookMs) return;
    clearTimeout(this.#lookTimer);
    this.#lookMs = lookMs;
    this.#lookTimer = setTimeout(() => this.#look(), Math.max(lookMs - performance.now(), 0));
  }

  #renew(nowMs: number): void {
    if (this.#state !== "joined" || this.#limits === undefined) return;
    const held = [...this.#claims.values()].filter(({ isHeld }) => isHeld);
    const most = Math.max(1, Math.floor(this.#limits.messageBytes / 2 / tokenBytes));
    for (let from = 0; from < held.length; from += most) this.#hold(held.slice(from, from + most), nowMs);
  }

  #hold(held: readonly HeldClaim[], sentMs: number): void {
    const request = { group: this.group, claims: held.map(({ token }) => token) };
    this.#socket.emit("hub:hold", request, (reply) => {
      if (!reply.ok) {
        if (!reply.error.retryable) this.#options.onError(OrreryError.from(reply.error));
        return;
      }
      const lost = new Set(reply.lost);
      for (const claim of held) {
        if (lost.has(claim.token.offset)) claim.reported();
        else claim.renewed(sentMs);
      }
    });
  }

  get #isIdle(): boolean {
    if (this.#open > 0) return false;
    // The hub's answer to capacity 0 comes behind all that it had handed over before.
    const isTold = this.#state === "joined" && !this.#isTelling && this.#toldCapacity === 0;
    return isTold || this.#state === "away" || this.isEnded;
  }

  #wakeIfIdle(): void {
    if (this.#isStopping && this.#isIdle) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}

function checked(capacity: number): number {
  if (Number.isInteger(capacity) && capacity >= 0 && capacity <= mostCapacity) return capacity;
  throw new OrreryError("CONFIG_INVALID", { detail: `capacity: a whole number, 0 to ${mostCapacity}.` });
}
