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

export const isKept = (event: Admitted): event is NewEvent => event.keep !== "none";

/**
 * What an event comes of that is said under a claim. Its id is one among those of that group's attempts at that event: whoever makes
 * the next attempt says the same, and nobody else has said it before.
 */
export type Claimed = Required<Pick<NewEvent, "cause" | "idScope">>;

/**
 * What of one message was looked at in vain: values of events whose data does not fit. zod says what is wrong with each of them, before
 * anybody can say that it is enough: 80,000 took 0.5 s.
 */
export interface Scrutiny {
  vain: number;
}

/** Before what was not looked at any more may come again. Milliseconds. */
const unseenMs = 500;

const usableId = /^[\x21-\x7e]{1,128}$/;
const reservedKeys = new Set(["__proto__", "prototype", "constructor"]);

/**
 * Checks one event, in the order shape and size, rights, schema; nothing is kept before all of them hold. What a message
 * may weigh at all (`messageBytes`) Engine.IO has checked before parsing it. `nextId` gives an id to an event that comes without
 * one; `nowMs` becomes its time; `scrutiny` is the message's, the rest of which is `RATE_LIMITED` where too much of it was in vain;
 * `claimed` is what it came of.
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
  scrutiny: Scrutiny,
  claimed?: Claimed,
): Admitted | ErrorBody {
  const event = eventOf(contract, name);
  if (event === undefined) return errorBody("UNKNOWN_EVENT");
  if (event.reply !== undefined) return errorBody("IS_A_QUESTION");
  const id = idOf(options, nextId);
  if (typeof id !== "string") return id;
  return admitted(contract, identity, event, name as string, data, id, limits, nowMs, scrutiny, claimed);
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
  return admitted(contract, identity, event, name, data, nextId(), limits, nowMs, { vain: 0 });
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
  scrutiny: Scrutiny,
  claimed?: Claimed,
): Admitted | ErrorBody {
  const values = valuesOf(data, limits);
  if (typeof values !== "number") return errorBody(values);

  const scope = scopeOf(event.emit, identity.role);
  if (scope === undefined) return errorBody("FORBIDDEN");
  if (scrutiny.vain + values > limits.eventValues) {
    scrutiny.vain = Number.POSITIVE_INFINITY; // what is behind it must not overtake it
    return errorBody("RATE_LIMITED", undefined, unseenMs);
  }
  const parsed = event.data.safeParse(data);
  if (!parsed.success) {
    scrutiny.vain += values;
    return errorBody("DATA_INVALID", issuesOf(parsed.error));
  }
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
  const values = valuesOf(data, limits);
  if (typeof values !== "number") return unfit(values);
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

/** What the options of an entry give; empty where the hub is to give an id, or would refuse them. */
export function givenId(options: unknown): string {
  const id = (options as { readonly id?: unknown } | null | undefined)?.id;
  return typeof id === "string" ? id : "";
}

type ShapeFault = "DATA_TOO_DEEP" | "DATA_TOO_WIDE" | "KEY_RESERVED";

/** How many values the data has, itself one of them, or what is wrong with it as such, whatever the schema says. */
function valuesOf(data: unknown, { depth, eventValues }: Limits): number | ShapeFault {
  const left = valuesLeft(data, depth, eventValues);
  return typeof left === "number" ? eventValues - left : left;
}

/** How many more there may be. Never looks deeper than `levels`, nor at more values than may be. */
function valuesLeft(value: unknown, levels: number, most: number): number | ShapeFault {
  let left = most - 1;
  if (left < 0) return "DATA_TOO_WIDE";
  if (typeof value !== "object" || value === null) return left;
  if (levels === 0) return "DATA_TOO_DEEP";
  if (Array.isArray(value) && value.length > left) return "DATA_TOO_WIDE";
  for (const key of Object.keys(value)) {
    if (reservedKeys.has(key)) return "KEY_RESERVED";
    const inner = valuesLeft((value as Record<string, unknown>)[key], levels - 1, left);
    if (typeof inner !== "number") return inner;
    left = inner;
  }
  return left;
}

/** UTF-8 takes one to three bytes for each of a string's units, so most texts need no counting. */
const isLonger = (text: string, bytes: number): boolean =>
  text.length > bytes || (text.length * 3 > bytes && Buffer.byteLength(text) > bytes);
