import {
  type Contract,
  type ErrorBody,
  type ErrorCode,
  type EventRuntime,
  errorBody,
  errors,
  eventOf,
  type Identity,
  isWithin,
  type Keep,
  keyOf,
  nameOf,
  ownRooms,
  roomsOf,
  scopeOf,
} from "@orrery/contracts";
import type { NewEvent } from "@orrery/event-log";
import type { z } from "zod";
import type { Limits } from "./limits.ts";
import { issuesOf } from "./refused.ts";

/** An event that passed every check. */
export type Admitted = Omit<NewEvent, "keep"> & { readonly keep: Keep };

/**
 * What an event comes of that is said under a claim. Its id is one among those of that group's attempts at that event: whoever makes
 * the next attempt says the same, and nobody else has said it before.
 */
export type Claimed = Required<Pick<NewEvent, "cause" | "idScope">>;

const usableId = /^[\x21-\x7e]{1,128}$/;
const reservedKeys = new Set(["__proto__", "prototype", "constructor"]);

/**
 * Checks one event, in the order shape and size, rights, schema; nothing is kept before all of them hold. What a message
 * may weigh at all (`messageBytes`) Engine.IO has checked before parsing it. `nextId` gives an id to an event that comes without
 * one; `nowMs` becomes its time; `claimed` is what it came of.
 */
export function admit(
  contract: Contract,
  identity: Identity,
  name: unknown,
  data: unknown,
  options: unknown,
  limits: Limits,
  nextId: () => string,
  nowMs: number,
  claimed?: Claimed,
): Admitted | ErrorBody {
  const event = eventOf(contract, name);
  if (event === undefined) return errorBody("UNKNOWN_EVENT");
  if (event.reply !== undefined) return errorBody("IS_A_QUESTION");
  const id = idOf(options, nextId);
  if (typeof id !== "string") return id;
  return admitted(contract, identity, event, name as string, data, id, limits, nowMs, claimed);
}

/** The same for a question that is asked. */
export function admitQuestion(
  contract: Contract,
  identity: Identity,
  name: string,
  data: unknown,
  limits: Limits,
  nextId: () => string,
  nowMs: number,
): Admitted | ErrorBody {
  const event = eventOf(contract, name);
  if (event === undefined) return errorBody("UNKNOWN_EVENT");
  if (event.reply === undefined) return errorBody("NOT_A_QUESTION");
  return admitted(contract, identity, event, name, data, nextId(), limits, nowMs);
}

function admitted(
  contract: Contract,
  identity: Identity,
  event: EventRuntime,
  name: string,
  data: unknown,
  id: string,
  limits: Limits,
  nowMs: number,
  claimed?: Claimed,
): Admitted | ErrorBody {
  const fault = shapeFault(data, limits.depth);
  if (fault !== undefined) return errorBody(fault);

  const scope = scopeOf(event.emit, identity.role);
  if (scope === undefined) return errorBody("FORBIDDEN");
  const parsed = event.data.safeParse(data);
  if (!parsed.success) return errorBody("DATA_INVALID", issuesOf(parsed.error));
  const rooms = roomsOf(event, parsed.data);
  if (!isWithin(scope, ownRooms(identity), rooms)) return errorBody("FORBIDDEN");

  const text = JSON.stringify(parsed.data);
  if (isLonger(text, limits.eventBytes)) return errorBody("EVENT_TOO_LARGE");
  const key = keyOf(event, parsed.data);
  return {
    contract: contract.name,
    id,
    event: name,
    ...(key !== undefined && { key }),
    rooms,
    source: nameOf(identity),
    timeMs: nowMs,
    data: text,
    ...claimed,
    keep: event.keep,
  };
}

/** Checks an answer as an event's data is checked. `bytes`: of its text. */
export function admitReply(
  schema: z.ZodObject,
  data: unknown,
  limits: Limits,
): { readonly data: unknown; readonly bytes: number } | ErrorBody {
  const fault = shapeFault(data, limits.depth);
  if (fault !== undefined) return unfit(fault);
  const parsed = schema.safeParse(data);
  if (!parsed.success) return errorBody("ANSWER_INVALID", issuesOf(parsed.error));
  const text = JSON.stringify(parsed.data);
  if (isLonger(text, limits.eventBytes)) return unfit("EVENT_TOO_LARGE");
  return { data: parsed.data, bytes: Buffer.byteLength(text) };
}

const unfit = (code: ErrorCode): ErrorBody =>
  errorBody("ANSWER_INVALID", [{ path: "", message: errors[code].message }]);

function idOf(options: unknown, nextId: () => string): string | ErrorBody {
  if (options === undefined) return nextId();
  if (typeof options !== "object" || options === null || Array.isArray(options))
    return errorBody("MESSAGE_INVALID");
  for (const name in options) if (name !== "id") return errorBody("MESSAGE_INVALID");
  const { id } = options as { id?: unknown };
  if (id === undefined) return nextId();
  return typeof id === "string" && usableId.test(id) ? id : errorBody("ID_INVALID");
}

/** What is wrong with the value as such, whatever the schema says. Never looks deeper than `levels`. */
function shapeFault(value: unknown, levels: number): "DATA_TOO_DEEP" | "KEY_RESERVED" | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (levels === 0) return "DATA_TOO_DEEP";
  for (const key of Object.keys(value)) {
    if (reservedKeys.has(key)) return "KEY_RESERVED";
    const inner = (value as Record<string, unknown>)[key];
    const fault = typeof inner === "object" ? shapeFault(inner, levels - 1) : undefined;
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** UTF-8 takes one to three bytes for each of a string's units, so most texts need no counting. */
const isLonger = (text: string, bytes: number): boolean =>
  text.length > bytes || (text.length * 3 > bytes && Buffer.byteLength(text) > bytes);
