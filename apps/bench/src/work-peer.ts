import type { Parcel } from "@orrery/contracts/parcels";

/** Who hands out work, as programs speak to it. */
export interface WorkPeer {
  /** Resolves when all of them are kept. */
  give(queue: string, given: readonly Parcel[]): Promise<void>;
  /** Resolves when all members are connected, and known; they get nothing before `start`. */
  assemble(queue: string, wanted: Wanted): Promise<Team>;
}

export interface Wanted {
  readonly members: number;
  /** What each of them may have in hand at once. */
  readonly capacity: number;
  /** At the beginning of the handler, which does nothing else. */
  readonly onJob: (job: Parcel) => void;
  /** So many more are settled, as a member has been told. */
  readonly onSettled: (count: number) => void;
  readonly onError: (error: unknown) => void;
}

export interface Team {
  start(): void;
  /** How many are not settled: they wait, are in hand, or have failed. */
  left(): Promise<number>;
  end(): Promise<void>;
}
