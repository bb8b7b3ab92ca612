// Who takes part in a run of the work scenario, what they agree on, and the files that they leave.
import { join } from "node:path";

/** How much of everything. */
export interface Size {
  readonly pickups: number;
  /** Processes of drivers: SIGSTOP and SIGKILL hit all drivers of one. */
  readonly processes: number;
  readonly driversEach: number;
  readonly faults: number;
  /**
   * From a claim to its settle, at most: so long that there are pickups left until the last fault, and renewals where it is
   * more than the lease. Milliseconds.
   */
  readonly mostWorkMs: number;
}

/** Some seconds beside the start of the processes. */
export const shortSize: Size = { pickups: 600, processes: 3, driversEach: 2, faults: 6, mostWorkMs: 900 };
/** 20 drivers; as 20 processes they starve each other, and the hub, on two cores. */
export const longSize: Size = {
  pickups: 10_000,
  processes: 5,
  driversEach: 4,
  faults: 120,
  mostWorkMs: 1_500,
};

export const vendor = "vendor";
export const processesOf = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, place) => `drivers-${place + 1}`);
/** The drivers of one process: `drivers-1.0` and so on. */
export const driversOf = (process: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, place) => `${process}.${place}`);
export const processOf = (driver: string): string => driver.slice(0, driver.lastIndexOf("."));

export const group = "drivers";
/** What all drivers ask for. So many attempts that no parcel is ever dead: stopped drivers use many of them up. */
export const terms = { capacity: 4, leaseMs: 1_000, attempts: 1_000, backoffMs: 20 } as const;

/** From a claim to its settle: by the event's place in the log, 100 to `mostMs`. */
export const workMs = (offset: number, mostMs: number): number => 100 + ((offset * 7_919) % (mostMs - 100));

/** What a driver writes down of one attempt at one pickup. */
export type Trace = {
  readonly driver: string;
  /** The pickup's. */
  readonly offset: number;
  readonly attempt: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
} & (
  | { readonly what: "claimed" }
  /** The receipt of `in-transit`, or of the settle with `delivered`: their places in the log. */
  | { readonly what: "said" | "settled"; readonly place: number }
  /** `LEASE_LOST`. */
  | { readonly what: "lost" }
);

/** What a process of drivers prints when it has its first claim, and when the last one it had is over. */
export const holdingLine = (isHolding: boolean): string => (isHolding ? "has claims" : "has none");

/** JSON lines, a file for each life. */
export const tracesFile = (directory: string, life: number): string => join(directory, `${life}.work`);
