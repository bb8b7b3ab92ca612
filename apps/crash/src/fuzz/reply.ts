// What attackers hold the hub's answers against.
import {
  type Contract,
  errors,
  eventOf,
  type HeardEntry,
  type Identity,
  isWithin,
  ownRooms,
  roomsOf,
  scopeOf,
} from "@orrery/contracts";

/** What only the hub's own log may say: paths, stacks, the texts of errors, SQL. */
const inside =
  /node_modules|\bat [^"\n]{1,200}\(|[A-Za-z]*Error: |\.[cm]?[jt]s:\d|SQLITE_|\bSELECT |\bINSERT /;

/** What of a text should not have left the hub; undefined: nothing. */
export function insideOf(text: string): string | undefined {
  const found = inside.exec(text);
  return found === null ? undefined : text.slice(Math.max(0, found.index - 100), found.index + 200);
}

/** Codes of a reply: `ok`, or that of the error; of a reply with others in it, those of all. Undefined: it is no reply. */
export function codesOf(reply: unknown): readonly string[] | undefined {
  if (!isObject(reply)) return undefined;
  if (reply.ok === false) return isErrorBody(reply.error) ? [reply.error.code] : undefined;
  if (reply.ok !== true) return undefined;
  const codes = ["ok"];
  for (const inner of [reply.receipts, reply.replies]) {
    if (inner === undefined) continue;
    if (!Array.isArray(inner)) return undefined;
    for (const one of inner) {
      const those = codesOf(one);
      if (those === undefined) return undefined;
      codes.push(...those);
    }
  }
  return codes;
}

/** Whether it is of the table: with its code, and with nothing in its text that the table does not have. */
export function isErrorBody(body: unknown): body is { readonly code: string } {
  if (!isObject(body) || typeof body.code !== "string" || !Object.hasOwn(errors, body.code)) return false;
  const { message, retryable } = errors[body.code as keyof typeof errors];
  return body.retryable === retryable && (body.message === message || body.code === "ANSWER_FAILED");
}

/** Events that a message of the hub tells, live, or in a reply's lists. */
export function* entriesIn(args: readonly unknown[]): Iterable<HeardEntry> {
  for (const one of args) {
    if (isEntry(one)) yield one;
    else if (Array.isArray(one)) yield* entriesIn(one);
    else if (isObject(one)) {
      const { event, events, claims, parked, dead, entries } = one;
      yield* entriesIn([event, events, claims, parked, dead, entries]);
    }
  }
}

/** Whether the contract lets the satellite hear it. */
export function mayHear(
  contract: Contract,
  identity: Identity,
  [name, data]: readonly [name: string, data: unknown, ...more: readonly unknown[]],
): boolean {
  const event = eventOf(contract, name);
  if (event === undefined || !isObject(data)) return false;
  return isWithin(scopeOf(event.hear, identity.role), ownRooms(identity), roomsOf(event, data));
}

/** Whether the contract lets the satellite say it. */
export function maySay(contract: Contract, identity: Identity, name: string, data: unknown): boolean {
  const event = eventOf(contract, name);
  if (event === undefined || !isObject(data)) return false;
  return isWithin(scopeOf(event.emit, identity.role), ownRooms(identity), roomsOf(event, data));
}

function isEntry(one: unknown): one is HeardEntry {
  if (!Array.isArray(one) || one.length !== 3) return false;
  const [name, , meta] = one;
  return typeof name === "string" && isObject(meta) && typeof meta.id === "string" && meta.type === name;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
