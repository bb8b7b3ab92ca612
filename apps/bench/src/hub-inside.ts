// What the hub asks before it takes an event, and before it lets a satellite in. Nobody but the hub has a use for it, so its package
// does not offer it; here it is measured by itself, as it is.

// @boundaries-ignore measured by itself
export { admit } from "../../../packages/hub-core/src/admit.ts";
// @boundaries-ignore measured by itself
export type { HubSocket } from "../../../packages/hub-core/src/audience.ts";
// @boundaries-ignore measured by itself
export { pieceBytes, unsentBytes } from "../../../packages/hub-core/src/connection.ts";
// @boundaries-ignore measured by itself
export { Holds } from "../../../packages/hub-core/src/holds.ts";
// @boundaries-ignore measured by itself
export { silentLogger } from "../../../packages/hub-core/src/logger.ts";
// @boundaries-ignore measured by itself
export { Meter } from "../../../packages/hub-core/src/meter.ts";
// @boundaries-ignore measured by itself
export { rateRefusal } from "../../../packages/hub-core/src/pace.ts";
// @boundaries-ignore measured by itself
export { Revocations } from "../../../packages/hub-core/src/revocations.ts";
// @boundaries-ignore measured by itself
export { endOf, type Session } from "../../../packages/hub-core/src/session.ts";
// @boundaries-ignore measured by itself
export { Tally } from "../../../packages/hub-core/src/tally.ts";
// @boundaries-ignore measured by itself
export { Tokens } from "../../../packages/hub-core/src/tokens.ts";
