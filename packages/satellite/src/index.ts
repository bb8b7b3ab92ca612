export type { AnswerHandlerOf, Answering, AnswerOptions } from "./answerer.ts";
export { connect } from "./connect.ts";
export type { Status } from "./connection.ts";
export type { OutboxOptions } from "./outbox-store.ts";
export type { PresenceHandlers, Watching } from "./presence.ts";
export type { Answers, AskManyOptions, AskOneOptions, AskOptions } from "./questions.ts";
export type {
  ConnectOptions,
  Following,
  FollowOptions,
  HandlerOf,
  Satellite,
  SatelliteOptions,
} from "./satellite.ts";
export type { SayOptions } from "./speaker.ts";
export type { Credentials, Token } from "./token.ts";
export {
  DeadError,
  type ReceiptsOf,
  type SaidEvent,
  type WorkContext,
  type WorkHandlerOf,
  type Working,
  type WorkOptions,
} from "./work-context.ts";
