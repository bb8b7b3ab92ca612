export { createHub, type Hub, type HubOptions } from "./hub.ts";
export { defaultLimits, type Limits, limitFaults, limitsFrom } from "./limits.ts";
export type { Logger } from "./logger.ts";
export { isLoopback } from "./origin.ts";
export type { Tls } from "./own-server.ts";
export type { Revocation } from "./revocations.ts";
