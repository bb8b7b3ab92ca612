export { type ConnectOptions, connect, type HandlerOf, type Satellite } from "./connect.ts";
export type { Status } from "./connection.ts";
export type { SayOptions } from "./speaker.ts";
