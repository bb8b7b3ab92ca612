import type {
  Accepted,
  Contract,
  Cursor,
  DataIn,
  DataOut,
  EmitOptions,
  EventName,
  KeepOf,
  Meta,
  OrreryError,
  ReceiptOf,
} from "@orrery/contracts";
import type { SayOptions } from "./speaker.ts";

/** Thrown by a handler of `work`: no attempt at this event will ever succeed. The event is dead, with this message. */
export class DeadError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DeadError";
  }
}

export interface WorkOptions {
  /**
   * Its name among those of the satellite's role and contract, `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`. All members name the same
   * events and rooms: `GROUP_DIFFERS`.
   */
  readonly group: string;
  /** How many events this satellite works on at once, 0 to 10_000. 0: none for now. */
  readonly capacity: number;
  /**
   * How long an event stays this satellite's when the hub does not hear from it. Milliseconds, 100 to 600_000, default 30_000.
   * Renewed every third of it while a handler runs and this process's event loop is not blocked, so it need not be as long as
   * a handler takes.
   */
  readonly leaseMs?: number;
  /** How often an event is handed out before it is dead, 1 to 1_000, default 5. Ended by `back` it is not counted. */
  readonly attempts?: number;
  /** Before the second attempt, about twice as long before each further one, 60 s at most. Milliseconds, default 1_000. */
  readonly backoffMs?: number;
  /** Where a new group begins: from `"now"` on (default), at the `"start"`, at a time (RFC 3339) or after a cursor. */
  readonly from?: "now" | "start" | Cursor | { readonly time: string };
  /** Work only on events in these rooms. Default: all that the role may hear. */
  readonly rooms?: readonly string[];
  /** Hears when the hub has refused it, or ended it for good. Default: `onError`. */
  readonly onEnd?: (reason: OrreryError) => void;
}

/** A running `work`. */
export interface Working {
  readonly group: string;
  /**
   * How many events it works on at once, 0 to 10_000. When it is lowered, events that were handed out already are worked on
   * all the same. Any other number throws `CONFIG_INVALID`.
   */
  capacity: number;
  /** Resolves when the hub has taken it into the group; rejects with the hub's refusal, or `CLOSED`. */
  ready(): Promise<void>;
  /**
   * Takes nothing more, and waits for handlers that run and for the answers to what they settle: without a hub no longer than
   * their leases. What is handed over meanwhile goes back to the group at no cost.
   */
  stop(): Promise<void>;
}

/** The events that are kept: only they can be on disk together with a settle. */
type KeptName<C extends Contract> = {
  [N in EventName<C>]: KeepOf<C, N> extends "none" ? never : N;
}[EventName<C>];

/** One event that is said with `done`: name, data, options. */
export type SaidEvent<C extends Contract> = {
  [N in KeptName<C>]: readonly [event: N, data: DataIn<C, N>, options?: EmitOptions];
}[KeptName<C>];

/** The receipts of events that were said with `done`, in their places. */
export type ReceiptsOf<C extends Contract, Events extends readonly SaidEvent<C>[]> = {
  readonly [Place in keyof Events]: Events[Place] extends readonly [
    infer N extends EventName<C>,
    ...unknown[],
  ]
    ? ReceiptOf<KeepOf<C, N>>
    : Accepted;
};

/**
 * What a handler of `work` has in hand beside the event's data: one attempt at it. Its functions may be taken out of it.
 *
 * Once the claim is lost or settled they reject with `LEASE_LOST`, and do nothing. Where a settle rejects with it, the hub may
 * have carried it out all the same, when the connection was lost before its answer: leave everything as it is. Either the
 * event was settled, or it is worked on again and says the same events under the same ids; undoing would be wrong in both.
 */
export interface WorkContext<C extends Contract> {
  /** The event's. `attempt`: 1 is the first. */
  readonly meta: Meta & { readonly offset: number; readonly attempt: number };
  /**
   * Aborts, with an `OrreryError` of code `LEASE_LOST`, when the claim is not this satellite's any more: the hub said so, or
   * the lease was not renewed in time. Stop then: somebody else may be at it already.
   */
  readonly signal: AbortSignal;
  /** Offsets of earlier events of the same key that the group has given up. */
  readonly deadBefore: readonly number[];
  /**
   * Says an event that comes of this one; resolves with its receipt. Its id is `<group>:<offset of this one>:<event>`, from
   * the second of its name in this attempt on with `:2`, `:3` … behind it, so an attempt that repeats another one says each
   * event once: the data of the first one counts, with the times and names that are in it, and later ones are `duplicate`. An
   * id of your own does the same among the attempts at this event; too long a one is `ID_INVALID`.
   */
  readonly emit: <N extends EventName<C>>(
    event: N,
    data: DataIn<C, N>,
    options?: SayOptions,
  ) => Promise<ReceiptOf<KeepOf<C, N>>>;
  /**
   * Settles the event as done and says what comes of it, in one commit: both are on disk, or neither. Events, of those that
   * are kept, are tuples of name, data and options; their ids are as with `emit`. Waits for what was emitted here before. A
   * refusal of an event, as `DATA_INVALID`, rejects it, and the claim is still held: settle otherwise; a handler that returns
   * without doing so has failed with that error. A handler that returns without having settled anything is done.
   */
  readonly done: <Events extends readonly SaidEvent<C>[]>(
    ...events: Events
  ) => Promise<ReceiptsOf<C, Events>>;
  /** Settles: to be tried again, later, as if the handler had thrown. */
  readonly retry: (reason?: string) => Promise<void>;
  /** Settles: never to be tried again. Dead events are listed by `dead`, and can be redriven. As throwing a `DeadError`. */
  readonly dead: (reason: string) => Promise<void>;
  /** Settles: not for this satellite. The event goes to another one, and the attempt does not count. */
  readonly back: () => Promise<void>;
}

export type WorkHandlerOf<C extends Contract, N extends EventName<C>> = (
  data: DataOut<C, N>,
  context: WorkContext<C>,
) => unknown;
