import type { Introduction } from "./standing.ts";

/** What an attacker says at once, on one connection. */
export interface Saying {
  /** What it is counted as. */
  readonly name: string;
  readonly bytes: Buffer;
  /**
   * The ack ids of right Socket.IO events in it, behind which the same connection said nothing wrong: each is to be answered,
   * with whatever.
   */
  readonly awaits?: readonly number[];
  /** Where it says who the attacker is. */
  readonly introduces?: Introduction;
}
