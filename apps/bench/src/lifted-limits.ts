import type { Limits } from "@orrery/hub-core";

const many = 1_000_000_000;

/**
 * For a hub that is asked how fast it is, by few satellites that say more than one may by default. The hub counts and compares as
 * ever.
 */
export const liftedRates = {
  eventsPerSecond: many,
  eventsAtOnce: many,
  eventsPerSecondPerSatellite: many,
  bytesPerSecond: many,
  bytesPerSecondPerSatellite: many,
  bytesAtOnce: many,
} as const satisfies Partial<Limits>;

/** For one whose satellites all come from this machine's one address, more and faster than they may by default. */
export const liftedDoor = {
  connectionsPerAddress: many,
  handshakesPerSecond: many,
  handshakesAtOnce: many,
  handshakesPerSecondPerAddress: many,
  handshakesAtOncePerAddress: many,
} as const satisfies Partial<Limits>;
