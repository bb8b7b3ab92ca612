export { lifecycle, type Stage, type Step } from "./lifecycle.ts";
export { type Fault, type Order, OrderFileError, readOrders } from "./orders.ts";
export { type ReplayClock, replayClock, speedVariable } from "./replay-clock.ts";
