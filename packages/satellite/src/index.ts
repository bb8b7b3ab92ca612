export {
  type ConnectOptions,
  connect,
  type Following,
  type FollowOptions,
  type HandlerOf,
  type Satellite,
} from "./connect.ts";
export type { Status } from "./connection.ts";
export type { OutboxOptions } from "./outbox-store.ts";
export type { SayOptions } from "./speaker.ts";
