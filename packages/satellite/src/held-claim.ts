import {
  type Accepted,
  type Claim,
  type ClaimRef,
  type ClaimToken,
  type EmitEntry,
  type EmitOptions,
  type Meta,
  OrreryError,
  type Outcome,
  type Settle,
} from "@orrery/contracts";
import {
  type ClaimInput,
  type ClaimState,
  derivedId,
  isHeld,
  type Lease,
  leaseFrom,
  renewed,
  stepClaim,
} from "./claim.ts";
import { jsonOf } from "./packing.ts";
import type { Settler } from "./settler.ts";
import type { SayOptions, Speaker } from "./speaker.ts";
import { DeadError } from "./work-context.ts";

/** `WorkContext` for any contract. */
export interface AnyContext {
  readonly meta: Meta;
  readonly signal: AbortSignal;
  readonly deadBefore: readonly number[];
  emit(event: string, data: unknown, options?: SayOptions): Promise<Accepted>;
  done(...events: readonly SaidEntry[]): Promise<readonly Accepted[]>;
  retry(reason?: string): Promise<void>;
  dead(reason: string): Promise<void>;
  back(): Promise<void>;
}

type SaidEntry = readonly [event: string, data: unknown, options?: EmitOptions];

export interface HeldClaimOptions {
  readonly group: string;
  readonly claim: Claim;
  readonly speaker: Speaker;
  readonly settler: Settler;
  /** What the handler throws, what its end could not settle, and a claim that was lost without the handler saying so. */
  readonly onError: (error: unknown, meta: Meta) => void;
  /** Whether the hub has taken the satellite into the group, on this connection. */
  readonly isJoined: () => boolean;
  /** A clock that never goes back. */
  readonly nowMs: () => number;
}

/** Text of an error that the hub keeps. Characters. */
const reasonLength = 1_000;

/** One claim from its arrival to its end: what its handler may do with it, and what becomes of it. */
export class HeldClaim {
  readonly data: unknown;
  readonly context: AnyContext;
  readonly token: ClaimToken;
  readonly #options: HeldClaimOptions;
  readonly #ref: ClaimRef;
  readonly #losing = new AbortController();
  #state: ClaimState = "running";
  #lease: Lease;
  /** How many events of each name were said under ids of the claim's. */
  #counts = new Map<string, number>();
  /** Of `emit`, without a receipt yet: what the handler was given. */
  readonly #saying = new Set<Promise<Accepted>>();
  readonly #settles: Promise<unknown>[] = [];
  /** Why the handler's own settle was refused. */
  #refusal: { readonly error: unknown } | undefined;

  constructor(options: HeldClaimOptions) {
    const { group, claim, nowMs } = options;
    const [, data, meta] = claim.event;
    const { offset, token, leaseMs, deadBefore = [] } = claim;
    this.#options = options;
    this.#ref = { group, offset, token };
    this.#lease = leaseFrom(nowMs(), leaseMs);
    this.token = { offset, token };
    this.data = data;
    const settle = async (outcome: Outcome, reason?: string) => {
      await this.settle(outcome, reason);
    };
    this.context = {
      meta,
      signal: this.#losing.signal,
      deadBefore,
      emit: (event, said, sayOptions) => this.#emit(event, said, sayOptions),
      done: (...events) => this.settle("done", undefined, events),
      retry: (reason) => quiet(settle("retry", reason)),
      dead: (reason) => quiet(settle("dead", reason)),
      back: () => quiet(settle("back")),
    };
  }

  get isHeld(): boolean {
    return isHeld(this.#state);
  }

  get lease(): Lease {
    return this.#lease;
  }

  /** The hub has answered a renewal that was sent then. */
  renewed(sentMs: number): void {
    this.#lease = renewed(this.#lease, sentMs);
  }

  /** It is lost if its lease is over by now. */
  expire(): void {
    if (this.#lease.untilMs <= this.#options.nowMs()) this.over("Its lease was not renewed in time.");
  }

  /** The hub lists it as lost. */
  reported(): void {
    this.#step("reported", new OrreryError("LEASE_LOST"));
  }

  over(detail: string, cause?: unknown): void {
    this.#step("over", new OrreryError("LEASE_LOST", { detail, cause }));
  }

  /** A refusal rejects, also where nobody waits for it: what becomes of the claim then is up to `finish`. */
  settle(outcome: Outcome, reason?: string, said: readonly SaidEntry[] = []): Promise<readonly Accepted[]> {
    const settling = quiet(this.#settle(outcome, reason, said));
    this.#settles.push(settling);
    return settling;
  }

  /**
   * The handler has ended; `thrown` where it threw. Settles what it has not settled: done where it returned, otherwise, or
   * where that was refused, retry or dead. Never rejects.
   */
  async finish(thrown?: { readonly error: unknown }): Promise<void> {
    const { onError } = this.#options;
    const { meta } = this.context;
    for (const saying of this.#saying) void quiet(saying); // `done` looks at it, or the attempt has failed anyway
    while (this.#settles.length > 0) await Promise.allSettled(this.#settles.splice(0));
    this.expire();
    const failure = thrown ?? this.#failure();
    if (failure !== undefined && !isDead(failure.error)) onError(failure.error, meta);
    if (this.#state !== "running") return;
    const refusal = await this.#tryTo(...endingOf(failure));
    if (refusal !== undefined && this.isHeld) await this.#tryTo("retry", reasonOf(refusal.error));
    if (this.isHeld) this.over("The hub refused to settle it."); // its lease runs out
  }

  /** Why a handler that returned has failed all the same. */
  #failure(): { readonly error: unknown } | undefined {
    if (this.#state === "lost") return { error: this.#losing.signal.reason };
    return this.#state === "running" ? this.#refusal : undefined;
  }

  /** The refusal, which was reported. */
  async #tryTo(outcome: Outcome, reason?: string): Promise<{ readonly error: unknown } | undefined> {
    try {
      await this.settle(outcome, reason);
      return undefined;
    } catch (error) {
      this.#options.onError(error, this.context.meta);
      return { error };
    }
  }

  #emit(event: string, data: unknown, options: SayOptions = {}): Promise<Accepted> {
    let id: string;
    try {
      this.#check();
      id = options.id ?? this.#nextId(event);
    } catch (error) {
      return Promise.reject(error);
    }
    const { speaker, isJoined } = this.#options;
    const say = async () => {
      const under = { claim: this.#ref, signal: this.#losing.signal, mayGo: isJoined };
      try {
        return await speaker.emit(event, data, { ...options, id }, under);
      } catch (error) {
        this.#lostBy(error, "reported"); // a settle may have come before it
        throw error;
      } finally {
        this.#saying.delete(saying);
      }
    };
    const saying = say();
    this.#saying.add(saying);
    return saying;
  }

  async #settle(outcome: Outcome, reason: string | undefined, said: readonly SaidEntry[]) {
    const { settler } = this.#options;
    this.#check();
    const counts = new Map(this.#counts);
    try {
      const events = said.map(
        ([event, data, { id = this.#nextId(event) } = {}]): EmitEntry => [event, data, { id }],
      );
      const settle: Settle = {
        ...this.token,
        outcome,
        ...(reason !== undefined && { error: reason.slice(0, reasonLength) }),
        ...(events.length > 0 && { events }),
      };
      const text = jsonOf(settle);
      this.#step("settle");
      if (outcome === "done") await Promise.all(this.#saying);
      this.#losing.signal.throwIfAborted();
      const receipts = await settler.settle(text, events.length, this.#losing.signal);
      this.#step("accepted");
      return receipts;
    } catch (error) {
      this.#counts = counts; // nothing of it happened: said again it has the same ids
      this.#lostBy(error, "over");
      this.#step("refused");
      this.#refusal = { error };
      throw error;
    }
  }

  /** Throws where the claim is not the handler's to use any more. */
  #check(): void {
    this.expire();
    if (this.#state === "running") return;
    this.#losing.signal.throwIfAborted();
    throw new OrreryError("LEASE_LOST", { detail: "Its handler has settled it." });
  }

  #nextId(event: string): string {
    const n = (this.#counts.get(event) ?? 0) + 1;
    const id = derivedId(this.#ref.group, this.#ref.offset, event, n);
    this.#counts.set(event, n);
    return id;
  }

  #lostBy(refusal: unknown, input: "reported" | "over"): void {
    if (refusal instanceof OrreryError && refusal.code === "LEASE_LOST") this.#step(input, refusal);
  }

  #step(input: ClaimInput, lost?: OrreryError): void {
    const before = this.#state;
    this.#state = stepClaim(before, input);
    if (this.#state !== "lost" || before === "lost") return;
    for (const saying of this.#saying) void quiet(saying); // the signal tells the handler
    this.#losing.abort(lost);
  }
}

/** Nobody has to wait for it. */
function quiet<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => undefined);
  return promise;
}

const isDead = (error: unknown): boolean => error instanceof DeadError;

function endingOf(failure: { readonly error: unknown } | undefined): [Outcome, string?] {
  if (failure === undefined) return ["done"];
  return [isDead(failure.error) ? "dead" : "retry", reasonOf(failure.error)];
}

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message || error.name : String(error);
