export { type ConnectOptions, connect, type HandlerOf, type Satellite, type SayOptions } from "./connect.ts";
export type { Status } from "./connection.ts";
