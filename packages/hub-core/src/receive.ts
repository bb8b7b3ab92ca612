import {
  type Contract,
  type EmitReply,
  type ErrorBody,
  errorBody,
  type ListenReply,
  type Receipt,
} from "@orrery/contracts";
import { type Admitted, admit, type Claimed, givenId, type Scrutiny } from "./admit.ts";
import type { HubSocket } from "./audience.ts";
import type { Followers } from "./follow.ts";
import type { History } from "./history.ts";
import type { Limits } from "./limits.ts";
import type { Listening } from "./listen.ts";
import type { Logger } from "./logger.ts";
import type { Meter } from "./meter.ts";
import { rateRefusal } from "./pace.ts";
import type { Presence } from "./presence.ts";
import type { Publisher } from "./publish.ts";
import type { Questions } from "./questions.ts";
import { refused } from "./refused.ts";
import { endOf } from "./session.ts";
import type { Sessions } from "./sessions.ts";
import type { WorkGroups } from "./work.ts";

/** What the messages of one contract's satellites are given to. */
export interface Receiver {
  readonly contract: Contract;
  readonly meter: Meter;
  readonly publisher: Publisher;
  readonly listening: Listening;
  readonly followers: Followers;
  readonly groups: WorkGroups;
  readonly history: History;
  readonly questions: Questions;
  readonly presence: Presence;
  readonly sessions: Sessions;
  readonly limits: Limits;
  readonly nextId: () => string;
  readonly isClosing: () => boolean;
  readonly logger: Logger;
}

/** Takes one message of a satellite, whatever it is; every answer goes to the message's ack, where there is one. */
export function receive(receiver: Receiver, socket: HubSocket, name: unknown, args: unknown[]): void {
  const ack = typeof args.at(-1) === "function" ? (args.pop() as (reply: unknown) => void) : undefined;
  const reply = (answer: unknown) => ack?.(answer);
  const end = endOf(socket.data.session, Date.now());
  if (end !== undefined) return reply(refused(end));
  const refusal = rateRefusal(receiver, socket, name, args);
  if (refusal !== undefined) return reply({ ok: false, error: refusal });
  const ask = typeof name === "string" ? asks[name] : undefined;
  // Said in one piece with the end of the connection: it would be kept for nobody. An event counts all the same.
  if (!socket.connected && (ask !== undefined || name === "hub:listen" || name === "hub:who")) return;
  if (ask !== undefined) askHub(receiver, socket, ask, args, reply);
  else if (name === "hub:listen") listen(receiver, socket, args, reply);
  else if (name === "hub:who") void receiver.presence.who(socket, onlyOf(args), reply);
  else if (name === "hub:unwatch") receiver.presence.unwatch(socket, onlyOf(args), reply);
  else if (name === "hub:emit") emitBatch(receiver, socket, args, reply);
  else if (args.length > 2) reply(refused("MESSAGE_INVALID"));
  // Not held when it was refused for now: a plain client need not say it again, and without an id of its own it cannot.
  else emit(receiver, socket, [[name, ...args]], undefined, ([receipt]) => reply(receipt));
}

type Ask = (receiver: Receiver, socket: HubSocket, message: unknown) => Promise<unknown>;

/** Messages that are answered when the log, or, for `hub:ask`, those who were asked have answered. */
const asks: Readonly<Record<string, Ask>> = Object.assign(Object.create(null), {
  "hub:follow": ({ followers }, socket, message) => followers.follow(socket, message),
  "hub:unfollow": ({ followers }, socket, message) => followers.unfollow(socket, message),
  "hub:followers": ({ followers }, socket) => followers.list(socket),
  "hub:forget": ({ followers, groups }, socket, message) =>
    isOfGroup(message) ? groups.forget(socket, message) : followers.forget(socket, message),
  "hub:parked": ({ followers }, socket, message) => followers.parked(socket, message),
  "hub:redrive": ({ followers, groups }, socket, message) =>
    isOfGroup(message) ? groups.endDeath("redrive", socket, message) : followers.redrive(socket, message),
  "hub:work": ({ groups }, socket, message) => groups.work(socket, message),
  "hub:hold": ({ groups }, socket, message) => groups.hold(socket, message),
  "hub:settle": settle,
  "hub:groups": ({ groups }, socket) => groups.list(socket),
  "hub:dead": ({ groups }, socket, message) => groups.dead(socket, message),
  "hub:drop": ({ groups }, socket, message) => groups.endDeath("drop", socket, message),
  "hub:history": ({ history }, socket, message) => history.of(socket, message),
  "hub:ask": ({ questions }, socket, message) => questions.ask(socket, message),
  "hub:answer": ({ questions }, socket, message) => questions.answer(socket, message),
  "hub:unanswer": ({ questions }, socket, message) => questions.unanswer(socket, message),
  "hub:reply": ({ questions }, socket, message) => questions.reply(socket, message),
  "hub:renew": ({ contract, sessions }, socket, message) => sessions.renew(contract, socket, message),
} satisfies Record<string, Ask>);

/** What a message with one argument says; where there are others, nothing that is valid. */
const onlyOf = (args: readonly unknown[]): unknown => (args.length === 1 ? args[0] : undefined);

/** Whoever has a token renews it. */
const isForPlain = (ask: Ask): boolean => ask === asks["hub:renew"];

/** What comes of claims counts as what is said without one, and a settle of which nothing comes as one event too. */
async function settle(receiver: Receiver, socket: HubSocket, message: unknown): Promise<unknown> {
  const { groups, limits, meter } = receiver;
  const { settles } = (message ?? {}) as { readonly settles?: unknown };
  const sizes = listIn(settles).map((one) => listIn(one?.events).length);
  const events = sizes.reduce((sum, size) => sum + size, 0);
  if (Math.max(sizes.length, events) > limits.batchEvents) return refused("BATCH_TOO_LARGE");
  const empty = sizes.filter((size) => size === 0).length;
  meter.count(socket, Math.max(0, events + empty - 1)); // the message has counted
  const arrivals: (() => void)[] = [];
  const scrutiny: Scrutiny = { vain: 0 };
  const admitCounted = (entry: readonly unknown[], claimed: Claimed) => {
    const result = admitEntry(receiver, socket, entry, scrutiny, claimed);
    if ("data" in result) arrivals.push(meter.carry(socket, result.data.length));
    return result;
  };
  try {
    return await groups.settle(socket, message, admitCounted);
  } finally {
    for (const arrive of arrivals) arrive();
  }
}

// biome-ignore lint/suspicious/noExplicitAny: whatever a message has there
const listIn = (value: unknown): readonly any[] => (Array.isArray(value) ? value : []);

const isOfGroup = (message: unknown): boolean =>
  typeof message === "object" && message !== null && "group" in message;

function askHub(
  receiver: Receiver,
  socket: HubSocket,
  ask: Ask,
  args: unknown[],
  reply: (reply: unknown) => void,
): void {
  const isTaken = socket.data.form === "batched" || isForPlain(ask);
  if (args.length !== 1 || !isTaken) return reply(refused("MESSAGE_INVALID"));
  ask(receiver, socket, args[0]).then(reply, (error) => {
    receiver.logger.error({ ...socket.data.identity, err: error }, "the log did not answer");
    reply(refused("LOG_FAILED"));
  });
}

function listen(
  { listening }: Receiver,
  socket: HubSocket,
  args: unknown[],
  reply: (reply: ListenReply) => void,
): void {
  if (args.length !== 1 || socket.data.form === "plain") return reply(refused("MESSAGE_INVALID"));
  listening.listen(socket, args[0], reply);
}

function emitBatch(
  receiver: Receiver,
  socket: HubSocket,
  args: unknown[],
  reply: (reply: EmitReply) => void,
): void {
  const [entries] = args;
  if (args.length !== 1 || !Array.isArray(entries)) return reply(refused("MESSAGE_INVALID"));
  if (entries.length > receiver.limits.batchEvents) return reply(refused("BATCH_TOO_LARGE"));
  if (!entries.every(isEntry)) return reply(refused("MESSAGE_INVALID"));
  emit(receiver, socket, entries, socket, (receipts) => reply({ ok: true, receipts }));
}

/** Checks each entry; those that pass are published together. A refusal of one does not touch the others. */
function emit(
  receiver: Receiver,
  socket: HubSocket,
  entries: readonly unknown[][],
  connection: HubSocket | undefined,
  answer: (receipts: readonly Receipt[]) => void,
): void {
  const { meter, publisher } = receiver;
  if (receiver.isClosing()) return answer(entries.map(() => refused("HUB_CLOSING")));
  const { holds } = publisher;
  const scrutiny: Scrutiny = { vain: 0 };
  const admitted: Admitted[] = [];
  const refusals = new Map<number, Receipt>();
  let holdUnseen: (() => void) | undefined;
  entries.forEach((entry, place) => {
    const result = admitEntry(receiver, socket, entry, scrutiny);
    if (!("code" in result)) {
      admitted.push(result);
      return;
    }
    refusals.set(place, { ok: false, error: result });
    if (connection === undefined) return;
    const id = idOf(entry);
    if (!result.retryable) holds.release(connection, id);
    else holdUnseen ??= () => holds.hold(connection, [{ id }], result.code, result.retryAfterMs);
  });
  const bytes = admitted.reduce((sum, { data }) => sum + data.length, 0);
  const arrive = meter.carry(socket, bytes);
  const answerAll = (published: readonly Receipt[]) => {
    arrive();
    const receipts = published.values();
    answer(entries.map((_entry, place) => refusals.get(place) ?? (receipts.next().value as Receipt)));
  };
  publisher.publish(admitted, connection, answerAll, socket);
  if (connection !== undefined && holds.of(connection) === undefined) holdUnseen?.(); // else for what came before it
}

/** `scrutiny`: of the message. `settled`: the claim that the event settles. One that is said under a claim names it in its options. */
function admitEntry(
  { contract, groups, limits, nextId }: Receiver,
  socket: HubSocket,
  [name, data, options]: readonly unknown[],
  scrutiny: Scrutiny,
  settled?: Claimed,
): Admitted | ErrorBody {
  const { identity, form } = socket.data;
  let [claimed, others] = [settled, options];
  if (form === "batched" && settled === undefined && hasClaim(options)) {
    const { claim, ...rest } = options;
    const found = groups.claimed(socket, claim);
    if (typeof found === "string") return errorBody(found);
    [claimed, others] = [found, rest];
  }
  return admit(contract, identity, name, data, others, limits, nextId, Date.now(), scrutiny, claimed);
}

const hasClaim = (options: unknown): options is { readonly claim: unknown } =>
  typeof options === "object" && options !== null && Object.hasOwn(options, "claim");

const idOf = ([, , options]: readonly unknown[]): string => givenId(options);

const isEntry = (entry: unknown): entry is unknown[] =>
  Array.isArray(entry) && entry.length >= 1 && entry.length <= 3;
