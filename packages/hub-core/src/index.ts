export { createHub, type Hub, type HubOptions } from "./hub.ts";
export { isLoopback } from "./identity.ts";
export { defaultLimits, type Limits } from "./limits.ts";
export type { Logger } from "./logger.ts";
