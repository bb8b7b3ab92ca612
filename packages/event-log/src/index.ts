export type { Appended, EventLog, NewEvent, Page, ReadRequest, StoredEvent } from "./event-log.ts";
export { type Filter, isWanted } from "./filter.ts";
export { openSqliteLog } from "./sqlite-log.ts";
