import { z } from "zod";

/** Names of events or rooms in one message; how many rooms a satellite may listen to is a limit of its own. */
export const mostListed = 1_000;

/**
 * An array of at most so many. What is longer is refused before its items are looked at: with zod's own `max` half a million
 * wrong ones, which fit into one message, took 0.8 s and 340 MB.
 */
export const listOf = <Item extends z.ZodType>(item: Item, most: number, least = 0) =>
  z
    .custom<unknown[]>((value) => Array.isArray(value) && value.length >= least && value.length <= most, {
      message: `must be a list of ${least} to ${most}`,
    })
    .pipe(z.array(item));
