export type {
  Appended,
  EventLog,
  NewEvent,
  Page,
  ReadRequest,
  RecordChange,
  Retention,
  StoredEvent,
} from "./event-log.ts";
export { type Filter, isWanted } from "./filter.ts";
export { openSqliteLog, type SqliteLogOptions } from "./sqlite-log.ts";
