import { setImmediate as nextTurn } from "node:timers/promises";
import {
  type AskReply,
  type Contract,
  type DoneReply,
  type ErrorBody,
  type ErrorCode,
  errorBody,
  eventOf,
  isWithin,
  nameOf,
  ownRooms,
  scopeOf,
  type ToMany,
  type ToSatellite,
} from "@orrery/contracts";
import { PacketText } from "@orrery/contracts/packet-text";
import { z } from "zod";
import { type Admitted, admitQuestion, admitReply } from "./admit.ts";
import { Answerers } from "./answerers.ts";
import type { HubSocket } from "./audience.ts";
import { unsentBytes, whenDrained } from "./connection.ts";
import { isRoom } from "./filter-of.ts";
import { heardEncoder } from "./heard.ts";
import type { Limits } from "./limits.ts";
import { listOf, mostListed } from "./list-of.ts";
import { OpenQuestion } from "./open-question.ts";
import { refused } from "./refused.ts";
import { isOver } from "./session.ts";

const Answer = z.strictObject({ event: z.string(), rooms: listOf(z.string(), mostListed).default([]) });
const Unanswer = z.strictObject({ event: z.string() });
const Ask = z.strictObject({
  event: z.string(),
  data: z.unknown().optional(),
  to: z.union([
    z.strictObject({ satellite: z.string().regex(/^[^:]+:[^:]+$/, "must be a name such as driver:d1") }),
    z.strictObject({ role: z.string() }),
    z.strictObject({ room: z.string() }),
  ]),
  timeoutMs: z.int().min(1).max(60_000).default(5_000),
});
const Reply = z.union([
  z.strictObject({ id: z.string(), error: z.string() }),
  z.strictObject({ id: z.string(), data: z.unknown().optional() }),
]);

/** The longest text that a satellite may give for why it cannot answer. */
const errorLength = 1_000;

/** What a reply says of each who was asked beside its answer: its name, and why it is silent. Bytes, roughly. */
const entryBytes = 200;

/** A question on its way, with what has to be put away when it is over. */
interface Asking {
  readonly id: string;
  readonly asker: HubSocket;
  readonly reply: z.ZodObject;
  readonly question: OpenQuestion<HubSocket>;
  readonly timer: NodeJS.Timeout;
  readonly done: (reply: AskReply) => void;
}

/** The questions of one contract: who answers which, and those that are open. Nothing of it is kept. */
export class Questions {
  readonly #contract: Contract;
  readonly #limits: Limits;
  readonly #nextId: () => string;
  readonly #isClosing: () => boolean;
  readonly #toHeard = heardEncoder();
  readonly #answerers = new Answerers();
  /** What each connection has asked. */
  readonly #asked = new Map<HubSocket, Set<Asking>>();
  /** What waits for each connection's answer, by the question's id. */
  readonly #awaited = new Map<HubSocket, Map<string, Asking>>();
  /** Of the replies of this turn. */
  #handedBytes = 0;
  #turn: Promise<void> | undefined;

  constructor(contract: Contract, limits: Limits, nextId: () => string, isClosing: () => boolean) {
    this.#contract = contract;
    this.#limits = limits;
    this.#nextId = nextId;
    this.#isClosing = isClosing;
  }

  /** For `hub:answer`. */
  async answer(socket: HubSocket, message: unknown): Promise<DoneReply> {
    const request = Answer.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const { event: name, rooms } = request.data;
    const { identity } = socket.data;
    const event = eventOf(this.#contract, name);
    if (event === undefined) return refused("UNKNOWN_EVENT");
    if (event.reply === undefined) return refused("NOT_A_QUESTION");
    const scope = scopeOf(event.hear, identity.role);
    if (scope === undefined) return refused("FORBIDDEN");
    if (rooms.length > this.#limits.listenRooms) return refused("MESSAGE_INVALID");
    if (rooms.some((room) => !this.#isRoom(room))) return refused("ROOM_INVALID");
    const own = ownRooms(identity);
    if (scope === "own" && rooms.some((room) => !own.includes(room))) return refused("FORBIDDEN");
    if (socket.connected) this.#answerers.add(socket, name, rooms);
    return { ok: true };
  }

  /** For `hub:unanswer`. What it was asked before may still be answered. */
  async unanswer(socket: HubSocket, message: unknown): Promise<DoneReply> {
    const request = Unanswer.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    this.#answerers.remove(socket, request.data.event);
    return { ok: true };
  }

  /** For `hub:ask`. Resolves when the question is over. */
  async ask(socket: HubSocket, message: unknown): Promise<AskReply> {
    const request = Ask.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    if (this.#isClosing()) return refused("HUB_CLOSING");
    const { event, data, timeoutMs } = request.data;
    const to: ToSatellite | ToMany = request.data.to;
    const { identity } = socket.data;
    const nowMs = Date.now();
    const admitted = admitQuestion(this.#contract, identity, event, data, this.#limits, this.#nextId, nowMs);
    if ("code" in admitted) return { ok: false, error: admitted };
    const fault = this.#faultOf(to);
    if (fault !== undefined) return refused(fault);
    const open = this.#asked.get(socket);
    if (open !== undefined && open.size >= this.#limits.openQuestions) return refused("QUESTIONS_TOO_MANY");
    const reply = await this.#put(socket, admitted, this.#answering(admitted, to), timeoutMs);
    return to.satellite === undefined ? reply : replyOfOne(reply);
  }

  /** For `hub:reply`. */
  async reply(socket: HubSocket, message: unknown): Promise<DoneReply> {
    const request = Reply.safeParse(message);
    if (!request.success) return refused("MESSAGE_INVALID", request.error);
    const said = request.data;
    const asking = this.#awaited.get(socket)?.get(said.id);
    if (asking === undefined) return { ok: true };
    const checked = "error" in said ? failure(said.error) : admitReply(asking.reply, said.data, this.#limits);
    if ("code" in checked) this.#silence(asking, socket, checked, Buffer.byteLength(JSON.stringify(checked)));
    else {
      asking.question.answer(socket, checked.data, checked.bytes);
      this.#settle(asking, socket);
    }
    return "code" in checked && checked.code === "ANSWER_INVALID"
      ? { ok: false, error: checked }
      : { ok: true };
  }

  /** The connection is gone: nobody waits for its answers any more, and what it has asked is over. */
  leave(socket: HubSocket): void {
    this.#answerers.leave(socket);
    for (const asking of [...(this.#awaited.get(socket)?.values() ?? [])])
      this.#silence(asking, socket, errorBody("NOBODY_THERE"));
    // Nobody hears the reply.
    for (const asking of [...(this.#asked.get(socket) ?? [])]) this.#end(asking, refused("CONNECTION_LOST"));
  }

  /** The hub closes. Resolves when the replies to what was open are on their way. */
  async end(): Promise<void> {
    if (this.#asked.size === 0) return;
    for (const askings of [...this.#asked.values()]) {
      for (const asking of [...askings]) {
        const { isOver, result } = asking.question;
        this.#end(asking, isOver ? result : refused("HUB_CLOSING"));
      }
    }
    await nextTurn();
  }

  /** Who is asked: those at the place who may hear the question. */
  #answering({ event: name, rooms }: Admitted, to: ToSatellite | ToMany): HubSocket[] {
    const hear = eventOf(this.#contract, name)?.hear ?? {};
    return this.#answerers.at(name, to).filter((socket) => {
      const { identity } = socket.data;
      return !isOver(socket) && isWithin(scopeOf(hear, identity.role), ownRooms(identity), rooms);
    });
  }

  #put(
    asker: HubSocket,
    admitted: Admitted,
    answering: readonly HubSocket[],
    timeoutMs: number,
  ): Promise<AskReply> {
    const named = answering.map((socket) => [socket, nameOf(socket.data.identity)] as const);
    const { messageBytes, unsentBytes } = this.#limits;
    const question = new OpenQuestion(named, (takenBytes) =>
      Math.min(messageBytes - takenBytes, unsentBytes - this.#bytesFor(asker)),
    );
    if (question.isOver) return Promise.resolve(question.result);
    return new Promise((done) => {
      const { id, event } = admitted;
      const reply = this.#contract.events[event]?.reply as z.ZodObject;
      const timer = setTimeout(() => this.#timeOut(asking), timeoutMs);
      const asking: Asking = { id, asker, reply, question, timer, done };
      const asked = this.#asked.get(asker) ?? new Set();
      this.#asked.set(asker, asked.add(asking));
      const packet = new PacketText(`["hub:asked",${this.#toHeard(admitted, null).text}]`);
      for (const socket of answering) this.#send(asking, socket, packet);
    });
  }

  #send(asking: Asking, socket: HubSocket, packet: PacketText): void {
    const awaited = this.#awaited.get(socket) ?? new Map<string, Asking>();
    const isBusy =
      awaited.size >= this.#limits.openAnswers || unsentBytes(socket.conn) > this.#limits.unsentBytes;
    if (isBusy) return this.#silence(asking, socket, errorBody("ANSWERER_BUSY"));
    this.#awaited.set(socket, awaited.set(asking.id, asking));
    socket.emit("hub:asked", packet as never);
  }

  /** Of the answers that wait for one asker, over all that it has asked. */
  #bytesFor(asker: HubSocket): number {
    let bytes = 0;
    for (const { question } of this.#asked.get(asker) ?? []) bytes += question.bytes;
    return bytes;
  }

  #silence(asking: Asking, socket: HubSocket, error: ErrorBody, bytes?: number): void {
    asking.question.silence(socket, error, bytes);
    this.#settle(asking, socket);
  }

  #timeOut(asking: Asking): void {
    for (const socket of asking.question.waiting) this.#silence(asking, socket, errorBody("TIMEOUT"));
  }

  /** The question does not wait for this connection any more. */
  #settle(asking: Asking, socket: HubSocket): void {
    this.#forget(asking, socket);
    if (asking.question.isOver) void this.#handOut(asking);
  }

  /**
   * Ends a question that waits for nobody any more: now, where its asker reads what it is sent, and this turn has not brought as
   * much as one message takes. Else many that end together would be one long turn, 126 ms where they have 32 MB of answers, and wait
   * with one that does not read. Until then it counts as open.
   */
  async #handOut(asking: Asking): Promise<void> {
    const { asker, question, timer } = asking;
    const { messageBytes, unsentBytes: mostUnsent } = this.#limits;
    clearTimeout(timer);
    while (asker.connected) {
      if (unsentBytes(asker.conn) > mostUnsent) await whenDrained(asker.conn);
      else if (this.#handedBytes >= messageBytes) await this.#nextTurn();
      else break;
    }
    this.#handedBytes += question.bytes + entryBytes * question.over;
    void this.#nextTurn();
    this.#end(asking, question.result);
  }

  #nextTurn(): Promise<void> {
    this.#turn ??= nextTurn().then(() => {
      this.#turn = undefined;
      this.#handedBytes = 0;
    });
    return this.#turn;
  }

  #end(asking: Asking, reply: AskReply): void {
    clearTimeout(asking.timer);
    for (const socket of asking.question.waiting) this.#forget(asking, socket);
    const asked = this.#asked.get(asking.asker);
    asked?.delete(asking);
    if (asked?.size === 0) this.#asked.delete(asking.asker);
    asking.done(reply);
  }

  #forget({ id }: Asking, socket: HubSocket): void {
    const awaited = this.#awaited.get(socket);
    awaited?.delete(id);
    if (awaited?.size === 0) this.#awaited.delete(socket);
  }

  #faultOf({ role, room }: ToSatellite | ToMany): ErrorCode | undefined {
    if (role !== undefined && !this.#contract.roles.includes(role)) return "ROLE_UNKNOWN";
    return room !== undefined && !this.#isRoom(room) ? "ROOM_INVALID" : undefined;
  }

  /** A room of an event, or a satellite's own. */
  #isRoom(room: string): boolean {
    const [prefix = "", name] = room.split(":", 2);
    const isOfRole = prefix === "satellite" || this.#contract.roles.includes(prefix);
    const isOwn = isOfRole && name !== undefined && name !== "" && room.length <= this.#limits.roomLength;
    return isOwn || isRoom(this.#contract, room, this.#limits);
  }
}

/** Of a question to one satellite: its answer, or why there is none. */
function replyOfOne(reply: AskReply): AskReply {
  if (!reply.ok || reply.answers.length > 0) return reply;
  return { ok: false, error: reply.silent[0]?.error ?? errorBody("NOBODY_THERE") };
}

/** With the answering satellite's own words, where it has any. */
function failure(words: string): ErrorBody {
  const body = errorBody("ANSWER_FAILED");
  return { ...body, message: words.slice(0, errorLength) || body.message };
}
