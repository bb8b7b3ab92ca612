import {
  type Contract,
  type EmitReply,
  type ErrorCode,
  errorBody,
  type ListenReply,
  type Receipt,
} from "@orrery/contracts";
import { type Admitted, admit } from "./admit.ts";
import type { HubSocket } from "./audience.ts";
import type { Limits } from "./limits.ts";
import type { Listening } from "./listen.ts";
import type { Publisher } from "./publish.ts";

/** What the messages of one contract's satellites are given to. */
export interface Receiver {
  readonly contract: Contract;
  readonly publisher: Publisher;
  readonly listening: Listening;
  readonly limits: Limits;
  readonly nextId: () => string;
  readonly isClosing: () => boolean;
  /** A catch-up failed because the log could not be read. */
  readonly onReadFault: (socket: HubSocket, error: unknown) => void;
}

/** Takes one message of a satellite, whatever it is; every answer goes to the message's ack, where there is one. */
export function receive(receiver: Receiver, socket: HubSocket, name: unknown, args: unknown[]): void {
  const ack = typeof args.at(-1) === "function" ? (args.pop() as (reply: unknown) => void) : undefined;
  const reply = (answer: unknown) => ack?.(answer);
  if (name === "hub:listen") listen(receiver, socket, args, reply);
  else if (name === "hub:emit") emitBatch(receiver, socket, args, reply);
  else if (args.length > 2) reply(refused("MESSAGE_INVALID"));
  else emit(receiver, socket, [[name, ...args]], ([receipt]) => reply(receipt));
}

function listen(
  { listening, onReadFault }: Receiver,
  socket: HubSocket,
  args: unknown[],
  reply: (reply: ListenReply) => void,
): void {
  if (args.length !== 1 || socket.data.form === "plain") return reply(refused("MESSAGE_INVALID"));
  listening.listen(socket, args[0], reply, (error) => onReadFault(socket, error));
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
  emit(receiver, socket, entries, (receipts) => reply({ ok: true, receipts }));
}

/** Checks each entry; those that pass are published together. A refusal of one does not touch the others. */
function emit(
  { contract, publisher, limits, nextId, isClosing }: Receiver,
  socket: HubSocket,
  entries: readonly unknown[][],
  answer: (receipts: readonly Receipt[]) => void,
): void {
  if (isClosing()) return answer(entries.map(() => refused("HUB_CLOSING")));
  const nowMs = Date.now();
  const admitted: Admitted[] = [];
  const refusals = new Map<number, Receipt>();
  entries.forEach(([name, data, options], place) => {
    const result = admit(contract, socket.data.identity, name, data, options, limits, nextId, nowMs);
    if ("code" in result) refusals.set(place, { ok: false, error: result });
    else admitted.push(result);
  });
  publisher.publish(admitted, (published) => {
    const receipts = published.values();
    answer(entries.map((_entry, place) => refusals.get(place) ?? (receipts.next().value as Receipt)));
  });
}

const isEntry = (entry: unknown): entry is unknown[] =>
  Array.isArray(entry) && entry.length >= 1 && entry.length <= 3;

const refused = (code: ErrorCode) => ({ ok: false, error: errorBody(code) }) as const;
