export type {
  Appended,
  CausedRequest,
  EventLog,
  NewEvent,
  Page,
  ReadRequest,
  RecordChange,
  Retention,
  StoredEvent,
  TextPage,
  TextRequest,
  Whole,
} from "./event-log.ts";
export { type EventText, eventTexts, metaOf, runsOf, type TextMeta, withAttempt } from "./event-text.ts";
export { type Filter, isWanted } from "./filter.ts";
export { openSqliteLog, type SqliteLogOptions } from "./sqlite-log.ts";
