import { randomFrom } from "./random.ts";

/** One life of the hub, and what else is killed meanwhile. */
export interface Round {
  /**
   * From when the times count. `starting`: from the hub's start, so also in its recovery, and while satellites come back.
   * `serving`: from when all of them work again.
   */
  readonly when: "starting" | "serving";
  /** When the hub is killed. Milliseconds. */
  readonly hubAfterMs: number;
  /** Satellites that are killed, and started again, before the hub or soon after it. */
  readonly satellites: readonly { readonly name: string; readonly afterMs: number }[];
}

/** One round in so many kills the hub while it starts. */
const startingEvery = 3;
/** A start from sources takes about a second, and satellites come back within two. Milliseconds. */
const longestStartMs = 3_000;
/** Milliseconds. */
const longestServiceMs = 1_000;
/** How long after the hub a satellite may still be killed. Milliseconds. */
const latestMs = 300;

/** What is killed when; the same for the same seed. The names are those of the satellites. Pure. */
export function planOf(seed: number, kills: number, names: readonly string[]): readonly Round[] {
  const random = randomFrom(seed);
  const upTo = (most: number) => Math.floor(random() * most);
  return Array.from({ length: kills }, () => {
    const when = upTo(startingEvery) === 0 ? "starting" : "serving";
    const hubAfterMs = upTo(when === "starting" ? longestStartMs : longestServiceMs);
    const satellites = names
      .filter(() => upTo(names.length) === 0)
      .map((name) => ({ name, afterMs: upTo(hubAfterMs + latestMs) }));
    return { when, hubAfterMs, satellites };
  });
}
