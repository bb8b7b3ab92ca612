import { z } from "zod";
import { OrreryError } from "./errors.ts";

/**
 * What the hub does with an event. `log`: on disk, in order, for as long as retention says. `latest`: on disk, but only
 * the newest per key. `none`: to those who listen now, never on disk.
 */
export type Keep = "log" | "latest" | "none";

/** `all`: every event. `own`: only events that concern a room of one's own. */
export type Scope = "all" | "own";

/** Names of the properties of the data that are strings. */
type StringProperty<Data extends z.ZodObject> = {
  [P in keyof z.output<Data>]-?: z.output<Data>[P] extends string ? P : never;
}[keyof z.output<Data>] &
  string;

/** As above, and those that may be missing. */
type RoomProperty<Data extends z.ZodObject> = {
  [P in keyof z.output<Data>]-?: z.output<Data>[P] extends string | undefined ? P : never;
}[keyof z.output<Data>] &
  string;

/**
 * Who may see which satellites are connected. A role that is not listed may not. There is no `own`: a satellite's own rooms
 * are its own name, so it would see itself.
 */
export type PresenceRights<Role extends string = string> = { readonly [R in Role]?: "all" };

interface EventBase<Data extends z.ZodObject, Role extends string> {
  /** One sentence for people. */
  readonly summary: string;
  /** What the event says: a zod object of plain JSON. What passes it is what is kept and heard. */
  readonly data: Data;
  /**
   * Sub-groups that the event concerns: prefix to the property that names the room. `{ vendor: "vendorId" }` puts an
   * event with `vendorId: "acme"` into room `vendor:acme`. The prefix `satellite` addresses one satellite by its id.
   * An event whose property is missing is in no such room.
   */
  readonly rooms?: { readonly [prefix: string]: RoomProperty<Data> };
  /** Who may say it. A role that is not listed may not. */
  readonly emit: { readonly [R in Role]?: Scope };
  /** Who may hear it. A role that is not listed may not. */
  readonly hear: { readonly [R in Role]?: Scope };
}

/**
 * One event of a contract. `key` is the property of data for which order, and `latest`, are kept. One with a `reply`, a zod
 * object of plain JSON as well, is a question: it is asked and answered, not emitted and heard. `emit` says who may ask it,
 * `hear` who may be asked.
 */
export type EventDefinition<Data extends z.ZodObject = z.ZodObject, Role extends string = string> =
  | (EventBase<Data, Role> & {
      readonly keep: "log";
      readonly key?: StringProperty<Data>;
      readonly reply?: never;
    })
  | (EventBase<Data, Role> & {
      readonly keep: "latest";
      readonly key: StringProperty<Data>;
      readonly reply?: never;
    })
  | (EventBase<Data, Role> & {
      readonly keep: "none";
      readonly key?: StringProperty<Data>;
      readonly reply?: z.ZodObject;
    });

type DataSchemas = { readonly [event: string]: z.ZodObject };
type Keeps = { readonly [event: string]: Keep };
type Replies = { readonly [event: string]: unknown };
/** What the compiler finds where an event has no `reply` is `unknown`. */
type ReplyFound<Found> = Found extends z.ZodObject ? Found : undefined;

/** The events of one domain, who says and hears them, and what is kept. Made by `defineContract`. */
export interface Contract<
  Role extends string = string,
  Schemas extends DataSchemas = DataSchemas,
  Kept extends Keeps = Keeps,
  Replied extends Replies = { readonly [event: string]: z.ZodObject | undefined },
> {
  /** The Socket.IO namespace is `/<name>`. */
  readonly name: string;
  /** Semantic version of the contract. */
  readonly version: string;
  readonly roles: readonly Role[];
  readonly presence?: PresenceRights;
  readonly events: {
    readonly [N in keyof Schemas]: EventRuntime<
      Schemas[N],
      N extends keyof Kept ? Kept[N] : Keep,
      N extends keyof Replied ? ReplyFound<Replied[N]> : undefined
    >;
  };
}

/** An event definition as it is read: the compiler has checked its names, so they are plain strings. */
export interface EventRuntime<
  Data extends z.ZodObject = z.ZodObject,
  Kept extends Keep = Keep,
  Reply extends z.ZodObject | undefined = z.ZodObject | undefined,
> {
  readonly summary: string;
  readonly data: Data;
  readonly keep: Kept;
  /** Of a question; undefined for all others. */
  readonly reply: Reply;
  readonly key?: string;
  readonly rooms?: { readonly [prefix: string]: string };
  readonly emit: { readonly [role: string]: Scope | undefined };
  readonly hear: { readonly [role: string]: Scope | undefined };
}

export type RoleOf<C extends Contract> = C["roles"][number];
type AnyName<C extends Contract> = keyof C["events"] & string;
/** What is emitted and heard: all but the questions. */
export type EventName<C extends Contract> = {
  [N in AnyName<C>]: C["events"][N]["reply"] extends z.ZodObject ? never : N;
}[AnyName<C>];
/** What is asked and answered: events with a `reply`. */
export type QuestionName<C extends Contract> = {
  [N in AnyName<C>]: [C["events"][N]["reply"]] extends [undefined] ? never : N;
}[AnyName<C>];
/** What one who says the event, or asks the question, gives: properties with a default may be missing. */
export type DataIn<C extends Contract, N extends AnyName<C>> = z.input<C["events"][N]["data"]>;
/** What one who hears the event, or is asked the question, gets. */
export type DataOut<C extends Contract, N extends AnyName<C>> = z.output<C["events"][N]["data"]>;
/** What one who answers gives: properties with a default may be missing. */
export type ReplyIn<C extends Contract, N extends QuestionName<C>> = z.input<
  NonNullable<C["events"][N]["reply"]>
>;
/** What one who has asked gets. */
export type ReplyOut<C extends Contract, N extends QuestionName<C>> = z.output<
  NonNullable<C["events"][N]["reply"]>
>;
export type KeepOf<C extends Contract, N extends EventName<C>> = C["events"][N]["keep"];

const contractName = /^[a-z][a-z0-9-]{0,62}$/;
const eventName = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;
const wordName = /^[a-z][a-z0-9-]{0,31}$/;
/** Socket.IO's own events, which no client can send or hear as ordinary ones. */
const reserved = [
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
  "error",
];

/**
 * Declares the events of one domain, once. The compiler refuses roles that are not in `roles`, and a `key` or a room
 * whose property the data does not have. Names are checked when it runs: events `[A-Za-z][A-Za-z0-9._-]{0,63}` but not
 * Socket.IO's own; the contract, roles and room prefixes in lower case with dashes. Throws `CONTRACT_INVALID` with every
 * fault found.
 */
export function defineContract<
  const Role extends string,
  const Schemas extends DataSchemas,
  const Kept extends { readonly [N in keyof Schemas]: Keep },
  const Replied extends { readonly [N in keyof Schemas]: unknown },
>(definition: {
  readonly name: string;
  readonly version: string;
  readonly roles: readonly Role[];
  readonly presence?: PresenceRights<NoInfer<Role>>;
  readonly events: { readonly [N in keyof Schemas]: EventDefinition<Schemas[N], NoInfer<Role>> } & {
    readonly [N in keyof Kept]: { readonly keep: Kept[N] };
  } & { readonly [N in keyof Replied]: { readonly reply?: Replied[N] } };
}): Contract<Role, Schemas, Kept, Replied> {
  const contract = definition as unknown as Contract<Role, Schemas, Kept, Replied>;
  const faults = contractFaults(contract);
  if (faults.length > 0) throw new OrreryError("CONTRACT_INVALID", { detail: faults.join("; ") });
  return contract;
}

function contractFaults({ name, version, roles, presence = {}, events }: Contract): string[] {
  const faults: string[] = [];
  const check = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
  };
  check(contractName.test(name), `the name "${name}" is not of the form ${contractName.source}`);
  check(/^\d+\.\d+\.\d+/.test(version), `the version "${version}" is not of the form 1.2.3`);
  for (const role of roles) {
    check(wordName.test(role), `role "${role}" is not of the form ${wordName.source}`);
    check(role !== "satellite", `"satellite" is the prefix of every satellite's own room, and no role`);
  }
  for (const [role, scope] of Object.entries(presence)) {
    check(roles.includes(role), `presence: "${role}" is not among the roles`);
    check(scope === "all", `presence: ${role} may see "all", or is not listed`);
  }
  for (const [event, { data, key, keep, reply, rooms = {}, emit, hear }] of Object.entries(events)) {
    const say = (holds: boolean, fault: string) => check(holds, `event "${event}": ${fault}`);
    say(eventName.test(event) && !reserved.includes(event), "the name is reserved or not usable");
    if (!(data instanceof z.ZodObject)) {
      say(false, "the data is no zod object");
      continue;
    }
    const properties = Object.keys(data.shape);
    say(key === undefined || properties.includes(key), `key "${key}" is no property of the data`);
    say(keep !== "latest" || key !== undefined, "`latest` needs a key");
    say(reply === undefined || reply instanceof z.ZodObject, "the reply is no zod object");
    say(reply === undefined || keep === "none", "a question, which has a reply, is not kept");
    for (const [prefix, property] of Object.entries(rooms)) {
      say(wordName.test(prefix), `room prefix "${prefix}" is not of the form ${wordName.source}`);
      say(
        properties.includes(property),
        `room "${prefix}" takes "${property}", which is no property of the data`,
      );
    }
    for (const [role, scope] of [...Object.entries(emit), ...Object.entries(hear)]) {
      say(roles.includes(role), `"${role}" is not among the roles`);
      const hasOwn = Object.hasOwn(rooms, role) || Object.hasOwn(rooms, "satellite");
      say(scope !== "own" || hasOwn, `"own" for ${role} needs a room "${role}" or "satellite"`);
    }
  }
  return faults;
}
