import { setImmediate as turn } from "node:timers/promises";
import {
  type AskReply,
  type AskRequest,
  defineContract,
  type ErrorBody,
  errorBody,
  type HeardEntry,
} from "@orrery/contracts";
import type { EventLog } from "@orrery/event-log";
import { z } from "zod";
import type { HubSocket } from "../src/audience.ts";
import { unsentBytes } from "../src/connection.ts";
import { createHub } from "../src/index.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { PlainClient, RawClient, refusal } from "./clients.ts";
import { heldBytes, hubEndOf, readOn, stall } from "./stall.ts";

const town = defineContract({
  name: "town",
  version: "1.0.0",
  roles: ["desk", "driver", "guest"],
  events: {
    said: {
      summary: "No question.",
      data: z.strictObject({ id: z.string(), city: z.string().optional() }),
      keep: "log",
      rooms: { city: "city" },
      emit: { desk: "all" },
      hear: { desk: "all", driver: "all" },
    },
    whereabouts: {
      summary:
        "Where is the driver? For desks, and for the guest who waits for it; of that driver itself only.",
      data: z.strictObject({ driverId: z.string(), guestId: z.string().optional() }),
      reply: z.strictObject({
        latitude: z.number(),
        longitude: z.number(),
        note: z.string().default("none"),
      }),
      keep: "none",
      key: "driverId",
      rooms: { driver: "driverId", guest: "guestId" },
      emit: { desk: "all", guest: "own" },
      hear: { driver: "own" },
    },
    free: {
      summary: "Takes and gives any JSON.",
      data: z.strictObject({ value: z.json() }),
      reply: z.strictObject({ value: z.json() }),
      keep: "none",
      emit: { desk: "all", driver: "all" },
      hear: { desk: "all", driver: "all" },
    },
  },
});

const contracts = [town];
const start = (limits: object = {}) => startHub({ contracts, limits });

/** Resolves when the hub knows no satellite of that id any more. */
async function gone({ hub }: TestHub, id: string): Promise<void> {
  const sockets = () => [...hub.namespace(town).sockets.values()] as unknown as HubSocket[];
  for (;;) {
    const socket = sockets().find(({ data: { identity } }) => identity.id === id);
    if (socket === undefined) return;
    await new Promise<void>((resolve) => socket.once("disconnect", () => resolve()));
  }
}

/** A batched satellite, by hand. */
class Satellite extends PlainClient {
  readonly asked: HeardEntry[] = [];
  #wake: () => void = () => undefined;

  constructor(hub: TestHub, role: string, id: string, options: object = {}) {
    super(`${hub.url}/town`, { role, id, protocol: 1 }, options);
    this.socket.on("hub:asked", (question: HeardEntry) => {
      this.asked.push(question);
      this.#wake();
    });
  }

  send<Reply = { ok: boolean; error?: ErrorBody }>(message: string, request: unknown): Promise<Reply> {
    return this.socket.emitWithAck(message, request);
  }

  ask(to: object, data: unknown = { value: 1 }, more: object = {}): Promise<AskReply> {
    return this.send("hub:ask", { event: "free", data, to, ...more } as AskRequest);
  }

  /** The next question, taken out of `asked`. */
  async question(): Promise<HeardEntry> {
    while (this.asked.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.asked.shift() as HeardEntry;
  }

  reply([, , { id }]: HeardEntry, data: unknown) {
    return this.send("hub:reply", { id, data });
  }

  /** Answers the next question. */
  async answer(data: unknown = { value: 2 }) {
    return this.reply(await this.question(), data);
  }
}

const connect = (hub: TestHub, role: string, id: string) => new Satellite(hub, role, id).connected();

/** One that answers a question. */
async function answering(hub: TestHub, id: string, options: object = {}, role = "driver") {
  const made = await connect(hub, role, id);
  expect(await made.send("hub:answer", { event: "free", ...options })).toEqual({ ok: true });
  return made;
}

const d1 = { satellite: "driver:d1" };
const drivers = { role: "driver" };

describe("one satellite", () => {
  it("is asked by its name, and its answer comes back, both filled in by the contract", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    await using driver = await answering(hub, "d1", { event: "whereabouts" });
    const reply = desk.ask(d1, { driverId: "d1" }, { event: "whereabouts" });
    const question = await driver.question();
    expect(question).toEqual([
      "whereabouts",
      { driverId: "d1" },
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        source: "desk:front",
        type: "whereabouts",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        subject: "d1",
      },
    ]);
    expect(await driver.reply(question, { latitude: -8, longitude: -35 })).toEqual({ ok: true });
    const data = { latitude: -8, longitude: -35, note: "none" };
    expect(await reply).toEqual({ ok: true, answers: [{ from: "driver:d1", data }], silent: [] });
    expect(hub.log.head).toBe(0);
  });

  it("that is not there, or does not answer this, or not any more, is NOBODY_THERE", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    expect(await desk.ask(d1)).toEqual(refusal("NOBODY_THERE"));
    await using driver = await answering(hub, "d1", { event: "whereabouts" });
    expect(await desk.ask(d1)).toEqual(refusal("NOBODY_THERE"));
    expect(await driver.send("hub:answer", { event: "free" })).toEqual({ ok: true });
    const reply = desk.ask(d1);
    await driver.answer();
    expect(await reply).toMatchObject({ ok: true });
    expect(await driver.send("hub:unanswer", { event: "free" })).toEqual({ ok: true });
    expect(await desk.ask(d1)).toEqual(refusal("NOBODY_THERE"));
  });

  it("that may be asked only about its own is not asked about others", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    await using _driver = await answering(hub, "d1", { event: "whereabouts" });
    const reply = await desk.ask(d1, { driverId: "d2" }, { event: "whereabouts" });
    expect(reply).toEqual(refusal("NOBODY_THERE"));
  });

  it("is asked on the connection that was the last to say that it answers", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    await using first = await answering(hub, "d1");
    await using second = await answering(hub, "d1");
    for (const to of [d1, drivers]) {
      const reply = desk.ask(to);
      await second.answer();
      expect(await reply).toMatchObject({ answers: [{ from: "driver:d1" }], silent: [] });
    }
    expect(await first.send("hub:answer", { event: "free" })).toEqual({ ok: true });
    const reply = desk.ask(d1);
    await first.answer();
    expect(await reply).toMatchObject({ ok: true });
    expect(await first.send("hub:unanswer", { event: "free" })).toEqual({ ok: true });
    const next = desk.ask(d1);
    await second.answer();
    expect(await next).toMatchObject({ ok: true });
  });

  it("that says why it cannot answer is ANSWER_FAILED with its words, as many as fit", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    await using driver = await answering(hub, "d1");
    const reply = desk.ask(d1);
    const [, , { id }] = await driver.question();
    expect(await driver.send("hub:reply", { id, error: "x".repeat(5_000) })).toEqual({ ok: true });
    expect(await reply).toEqual({
      ok: false,
      error: { code: "ANSWER_FAILED", message: "x".repeat(1_000), retryable: false },
    });
  });

  it.each<[string, unknown, object]>([
    ["does not fit", {}, { path: "value" }],
    ["is null", null, { path: "" }],
    ["is no object", 7, { path: "" }],
    ["has a property too many", { value: 2, more: 1 }, { path: "" }],
    ["is too deep", { value: deep(40) }, { path: "", message: errorBody("DATA_TOO_DEEP").message }],
    [
      "has a reserved name",
      { value: { constructor: 1 } },
      { path: "", message: errorBody("KEY_RESERVED").message },
    ],
    ["is too large", { value: "x".repeat(2_000) }, { message: errorBody("EVENT_TOO_LARGE").message }],
  ])("whose answer %s is ANSWER_INVALID, and hears so itself", async (_what, data, issue) => {
    await using hub = await start({ eventBytes: 1_000 });
    await using desk = await connect(hub, "desk", "front");
    await using driver = await answering(hub, "d1");
    const reply = desk.ask(d1);
    const told = await driver.answer(data);
    const { error } = (await reply) as { error: ErrorBody };
    expect(error).toMatchObject({ code: "ANSWER_INVALID", issues: [expect.objectContaining(issue)] });
    expect(told).toEqual({ ok: false, error });
  });

  it("that does not answer in time is TIMEOUT, and its late answer is ignored", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    await using driver = await answering(hub, "d1");
    expect(await desk.ask(d1, undefined, { timeoutMs: 20 })).toEqual(refusal("TIMEOUT"));
    expect(await driver.answer()).toEqual({ ok: true });
    const reply = desk.ask(d1, { value: "next" });
    await driver.answer({ value: "next" });
    expect(await reply).toMatchObject({ answers: [{ data: { value: "next" } }] });
  });

  it("that is lost while it is asked is NOBODY_THERE at once", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    const driver = await answering(hub, "d1");
    const reply = desk.ask(d1, undefined, { timeoutMs: 60_000 });
    await driver.question();
    await driver[Symbol.asyncDispose]();
    expect(await reply).toEqual(refusal("NOBODY_THERE"));
  });

  it("answers for itself: nobody else can, not its own other connection either, and only once", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    await using other = await answering(hub, "d1");
    await using driver = await answering(hub, "d1");
    const reply = desk.ask(d1);
    const question = await driver.question();
    expect(await other.reply(question, { value: "forged" })).toEqual({ ok: true });
    expect(await desk.reply(question, { value: "forged" })).toEqual({ ok: true });
    expect(await driver.reply(question, { value: "first" })).toEqual({ ok: true });
    expect(await driver.reply(question, { value: "second" })).toEqual({ ok: true });
    expect(await reply).toMatchObject({ answers: [{ data: { value: "first" } }] });
  });
});

describe("a question to a role", () => {
  it("brings the answers that came, and who is silent, and why", async () => {
    await using hub = await start({ eventBytes: 1_000 });
    await using desk = await connect(hub, "desk", "front");
    await using one = await answering(hub, "one");
    await using two = await answering(hub, "two");
    const lost = await answering(hub, "lost");
    await using failing = await answering(hub, "failing");
    await using wrong = await answering(hub, "wrong");
    await using _slow = await answering(hub, "slow");
    await using _silent = await connect(hub, "driver", "answers-nothing");
    await using _desk = await answering(hub, "back", {}, "desk");
    const reply = desk.ask(drivers, undefined, { timeoutMs: 500 });
    await two.answer({ value: "two" });
    await one.answer({ value: "one" });
    const [, , { id }] = await failing.question();
    await failing.send("hub:reply", { id, error: "No fuel." });
    await wrong.answer({});
    await lost.question();
    await lost[Symbol.asyncDispose]();
    expect(await reply).toEqual({
      ok: true,
      answers: [
        { from: "driver:two", data: { value: "two" } },
        { from: "driver:one", data: { value: "one" } },
      ],
      silent: [
        { from: "driver:failing", error: expect.objectContaining({ message: "No fuel." }) },
        { from: "driver:wrong", error: expect.objectContaining({ code: "ANSWER_INVALID" }) },
        { from: "driver:lost", error: expect.objectContaining({ code: "NOBODY_THERE" }) },
        { from: "driver:slow", error: expect.objectContaining({ code: "TIMEOUT" }) },
      ],
    });
  });

  it("is over when all have answered, without waiting for its time", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    await using one = await answering(hub, "one");
    await using two = await answering(hub, "two");
    const reply = desk.ask(drivers, undefined, { timeoutMs: 60_000 });
    await one.answer();
    await two.answer();
    expect(await reply).toMatchObject({ answers: [{ from: "driver:one" }, { from: "driver:two" }] });
  });

  it("reaches only those that may be asked about it, nobody at all where there are none, and the asker too", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    expect(await desk.ask(drivers)).toEqual({ ok: true, answers: [], silent: [] });
    await using one = await answering(hub, "one", { event: "whereabouts" });
    await using two = await answering(hub, "two", { event: "whereabouts" });
    const reply = desk.ask(drivers, { driverId: "two" }, { event: "whereabouts" });
    await two.answer({ latitude: 1, longitude: 2 });
    expect(await reply).toMatchObject({ answers: [{ from: "driver:two" }], silent: [] });
    expect(one.asked).toEqual([]);

    expect(await desk.send("hub:answer", { event: "free" })).toEqual({ ok: true });
    const own = desk.ask({ role: "desk" });
    await desk.answer();
    expect(await own).toMatchObject({ answers: [{ from: "desk:front" }] });
  });

  it("has room for so many answers together, and those that come later are ANSWERS_TOO_LARGE", async () => {
    await using hub = await start({ eventBytes: 9_000, messageBytes: 20_000 });
    await using desk = await connect(hub, "desk", "front");
    await using one = await answering(hub, "one");
    await using two = await answering(hub, "two");
    await using three = await answering(hub, "three");
    await using four = await answering(hub, "four");
    const reply = desk.ask(drivers);
    for (const each of [one, two, three]) await each.answer({ value: "x".repeat(8_000) });
    await four.answer({ value: "short" });
    expect(await reply).toMatchObject({
      answers: [{ from: "driver:one" }, { from: "driver:two" }, { from: "driver:four" }],
      silent: [{ from: "driver:three", error: { code: "ANSWERS_TOO_LARGE" } }],
    });
  });
});

describe("a question to a room", () => {
  it("reaches those whose own room it is, and those that have named it", async () => {
    await using hub = await start();
    await using desk = await connect(hub, "desk", "front");
    await using d1 = await answering(hub, "d1", { rooms: ["city:recife"] });
    await using d2 = await answering(hub, "d2", { rooms: ["city:olinda", "city:recife"] });
    await using d3 = await answering(hub, "d3");
    const ask = async (room: string, ...reached: Satellite[]) => {
      const reply = desk.ask({ room }, undefined, { timeoutMs: 60_000 });
      for (const each of reached) await each.answer();
      const { answers } = (await reply) as Extract<AskReply, { ok: true }>;
      return answers.map(({ from }) => from);
    };
    expect(await ask("city:recife", d1, d2)).toEqual(["driver:d1", "driver:d2"]);
    expect(await ask("city:olinda", d2)).toEqual(["driver:d2"]);
    expect(await ask("city:natal")).toEqual([]);
    expect(await ask("driver:d3", d3)).toEqual(["driver:d3"]);
    expect(await ask("satellite:d3", d3)).toEqual(["driver:d3"]);

    expect(await d2.send("hub:answer", { event: "free" })).toEqual({ ok: true });
    expect(await ask("city:recife", d1)).toEqual(["driver:d1"]);
  });
});

describe("is refused with a code:", () => {
  const of = (change: object) => ({ event: "free", data: { value: 1 }, to: d1, ...change });

  it.each<[string, unknown, string]>([
    ["an unknown event", of({ event: "shouted" }), "UNKNOWN_EVENT"],
    ["an event called __proto__", of({ event: "__proto__" }), "UNKNOWN_EVENT"],
    ["an event that is no question", of({ event: "said", data: { id: "a" } }), "NOT_A_QUESTION"],
    ["data that does not fit", of({ data: {} }), "DATA_INVALID"],
    ["no data", { event: "free", to: d1 }, "DATA_INVALID"],
    ["data that is too deep", of({ data: { value: deep(40) } }), "DATA_TOO_DEEP"],
    ["a reserved name in the data", of({ data: { value: { prototype: 1 } } }), "KEY_RESERVED"],
    ["data that is too large", of({ data: { value: "x".repeat(2_000) } }), "EVENT_TOO_LARGE"],
    ["nobody to ask", of({ to: undefined }), "MESSAGE_INVALID"],
    ["an empty to", of({ to: {} }), "MESSAGE_INVALID"],
    ["a name without its role", of({ to: { satellite: "d1" } }), "MESSAGE_INVALID"],
    ["a to that is text", of({ to: "driver:d1" }), "MESSAGE_INVALID"],
    ["two kinds of to", of({ to: { ...d1, ...drivers } }), "MESSAGE_INVALID"],
    ["a role that is unknown", of({ to: { role: "king" } }), "ROLE_UNKNOWN"],
    ["a role called constructor", of({ to: { role: "constructor" } }), "ROLE_UNKNOWN"],
    ["a room without a value", of({ to: { room: "driver:" } }), "ROOM_INVALID"],
    ["a room of no event", of({ to: { room: "planet:earth" } }), "ROOM_INVALID"],
    ["a room called __proto__", of({ to: { room: "__proto__" } }), "ROOM_INVALID"],
    [
      "a room of an event with too long a name",
      of({ to: { room: "city:".padEnd(129, "x") } }),
      "ROOM_INVALID",
    ],
    ["an own room with too long a name", of({ to: { room: "desk:".padEnd(129, "x") } }), "ROOM_INVALID"],
    ["no time", of({ timeoutMs: 0 }), "MESSAGE_INVALID"],
    ["too long a time", of({ timeoutMs: 60_001 }), "MESSAGE_INVALID"],
    ["a time that is text", of({ timeoutMs: "5000" }), "MESSAGE_INVALID"],
    ["an option that nobody knows", of({ retries: 3 }), "MESSAGE_INVALID"],
    ["a list", [of({})], "MESSAGE_INVALID"],
    ["null", null, "MESSAGE_INVALID"],
  ])("to ask with %s", async (_what, message, code) => {
    await using hub = await start({ eventBytes: 1_000 });
    await using driver = await answering(hub, "d1");
    await using desk = await connect(hub, "desk", "front");
    expect(await desk.send("hub:ask", message)).toEqual(refusal(code));
    const reply = desk.ask(d1, { value: "still here" });
    expect((await driver.question())[1]).toEqual({ value: "still here" });
    await driver[Symbol.asyncDispose]();
    expect(await reply).toEqual(refusal("NOBODY_THERE"));
  });

  it("to ask what one's role may not, or only about one's own", async () => {
    await using hub = await start();
    await using driver = await answering(hub, "d1", { event: "whereabouts" });
    await using guest = await connect(hub, "guest", "g1");
    expect(await guest.ask(d1)).toEqual(refusal("FORBIDDEN"));
    const ask = (data: object) => guest.ask(d1, data, { event: "whereabouts" });
    expect(await ask({ driverId: "d1" })).toEqual(refusal("FORBIDDEN"));
    expect(await ask({ driverId: "d1", guestId: "g2" })).toEqual(refusal("FORBIDDEN"));
    const reply = ask({ driverId: "d1", guestId: "g1" });
    await driver.answer({ latitude: 0, longitude: 0 });
    expect(await reply).toMatchObject({ ok: true });
  });

  it.each<[string, string, unknown, string]>([
    ["an unknown event", "driver", { event: "shouted" }, "UNKNOWN_EVENT"],
    ["an event that is no question", "driver", { event: "said" }, "NOT_A_QUESTION"],
    ["what one may not be asked", "guest", { event: "free" }, "FORBIDDEN"],
    [
      "in another's room, about one's own only",
      "driver",
      { event: "whereabouts", rooms: ["driver:d2"] },
      "FORBIDDEN",
    ],
    ["in what is no room", "driver", { event: "free", rooms: ["recife"] }, "ROOM_INVALID"],
    [
      "in one with too long a name",
      "driver",
      { event: "free", rooms: ["city:".padEnd(129, "x")] },
      "ROOM_INVALID",
    ],
    [
      "in too many rooms",
      "driver",
      { event: "free", rooms: Array(101).fill("city:recife") },
      "MESSAGE_INVALID",
    ],
    ["no event", "driver", {}, "MESSAGE_INVALID"],
    ["a number", "driver", 7, "MESSAGE_INVALID"],
  ])("to answer %s", async (_what, role, message, code) => {
    await using hub = await start();
    await using client = await connect(hub, role, "d1");
    expect(await client.send("hub:answer", message)).toEqual(refusal(code));
  });

  it.each<[string, string, unknown]>([
    ["hub:unanswer", "nothing", {}],
    ["hub:reply", "nothing", {}],
    ["hub:reply", "a number as its id", { id: 7, data: {} }],
    ["hub:reply", "an answer and an error", { id: "1", data: {}, error: "no" }],
    ["hub:reply", "an error that is no text", { id: "1", error: { message: "no" } }],
  ])("%s with %s", async (message, _what, request) => {
    await using hub = await start();
    await using client = await connect(hub, "driver", "d1");
    expect(await client.send(message, request)).toEqual(refusal("MESSAGE_INVALID"));
  });

  it("to emit a question, or to listen to it, follow it or work on it", async () => {
    await using hub = await start();
    await using driver = await connect(hub, "driver", "d1");
    const free = { value: 1 };
    expect(await driver.say("free", free)).toEqual(refusal("IS_A_QUESTION"));
    expect(await driver.send("hub:emit", [["free", free]])).toEqual({
      ok: true,
      receipts: [refusal("IS_A_QUESTION")],
    });
    const events = ["said", "free"];
    expect(await driver.send("hub:listen", { events })).toEqual(refusal("IS_A_QUESTION"));
    expect(await driver.send("hub:follow", { as: "f", events })).toEqual(refusal("IS_A_QUESTION"));
    expect(await driver.send("hub:work", { group: "g", events, capacity: 1 })).toEqual(
      refusal("IS_A_QUESTION"),
    );
  });

  it("all of it to a plain client, which hears what is no question", async () => {
    await using hub = await start();
    const auth = { role: "desk", id: "plain" };
    await using plain = await new PlainClient(`${hub.url}/town`, auth).connected();
    const messages = { "hub:ask": of({}), "hub:answer": { event: "free" }, "hub:reply": { id: "", data: 1 } };
    for (const [message, request] of Object.entries(messages))
      expect(await plain.socket.emitWithAck(message, request)).toEqual(refusal("MESSAGE_INVALID"));
    expect(await plain.say("free", { value: 1 })).toEqual(refusal("IS_A_QUESTION"));
    expect(await plain.say("said", { id: "a" })).toMatchObject({ ok: true });
    expect(await plain.take(1)).toMatchObject([{ event: "said" }]);
    await using narrowed = new PlainClient(`${hub.url}/town`, { ...auth, events: ["free"] });
    expect(await narrowed.refused()).toMatchObject({ code: "IS_A_QUESTION" });
  });
});

describe("what is open is bounded:", () => {
  it("so many questions of one connection, and when one is over the next may come", async () => {
    await using hub = await start({ openQuestions: 2 });
    await using desk = await connect(hub, "desk", "front");
    await using driver = await answering(hub, "d1");
    const open = [desk.ask(d1), desk.ask(drivers)];
    expect(await desk.ask(d1)).toEqual(refusal("QUESTIONS_TOO_MANY"));
    await using other = await connect(hub, "desk", "back");
    const others = other.ask(d1);
    await driver.answer();
    await open[0];
    const next = desk.ask(d1);
    for (const _each of [open[1], others, next]) await driver.answer();
    for (const reply of [...open, others, next]) expect(await reply).toMatchObject({ ok: true });
  });

  it("so many answers that are awaited of one connection, and others are asked all the same", async () => {
    await using hub = await start({ openAnswers: 1 });
    await using desk = await connect(hub, "desk", "front");
    await using one = await answering(hub, "d1");
    await using two = await answering(hub, "d2");
    const first = desk.ask(d1);
    expect(await desk.ask(d1)).toEqual(refusal("ANSWERER_BUSY"));
    const all = desk.ask(drivers);
    await two.answer();
    expect(await all).toMatchObject({
      answers: [{ from: "driver:d2" }],
      silent: [{ from: "driver:d1", error: { code: "ANSWERER_BUSY", retryable: true } }],
    });
    await one.answer();
    expect(await first).toMatchObject({ ok: true });
    const next = desk.ask(d1);
    await one.answer();
    expect(await next).toMatchObject({ ok: true });
  });

  it("what waits for a satellite that does not read, whatever may be open", async () => {
    await using hub = await start({ unsentBytes: 200_000, openQuestions: 10_000, openAnswers: 10_000 });
    await using desk = await connect(hub, "desk", "front");
    await using driver = await new RawClient(hub.url).join("/town", {
      role: "driver",
      id: "d1",
      protocol: 1,
    });
    driver.send('42/town,0["hub:answer",{"event":"free"}]');
    await driver.until((frame) => frame.startsWith("43/town,0"));
    stall(driver);
    const value = "x".repeat(100_000);
    for (;;) {
      const busy = desk.ask(d1, { value }, { timeoutMs: 60_000 });
      const marker = desk.ask({ satellite: "driver:nobody" });
      const first = await Promise.race([busy, marker]);
      if (first.ok || first.error.code === "NOBODY_THERE") continue;
      expect(first).toEqual(refusal("ANSWERER_BUSY"));
      break;
    }
  });
});

describe("answers to one asker's questions together", () => {
  const value = "x".repeat(8_000);

  it("are kept so far as it may have unsent, and those that come later are ANSWERS_TOO_LARGE, words too", async () => {
    await using hub = await start({ eventBytes: 9_000, messageBytes: 20_000, unsentBytes: 20_000 });
    await using desk = await connect(hub, "desk", "front");
    await using other = await connect(hub, "desk", "back");
    await using one = await answering(hub, "one");
    await using two = await answering(hub, "two");
    const tooLarge = { error: { code: "ANSWERS_TOO_LARGE" } };
    const replies = Array.from({ length: 5 }, () => desk.ask(drivers, undefined, { timeoutMs: 60_000 }));
    for (let count = 0; count < 3; count += 1) await one.answer({ value });
    await one.answer({ value: "x".repeat(3_000) });
    const [, , { id }] = await one.question();
    await one.send("hub:reply", { id, error: "x".repeat(1_000) });
    const others = other.ask(drivers);
    await one.answer({ value });
    for (let count = 0; count < 6; count += 1) await two.answer({ value: 2 });
    const [first, second, third, fourth, fifth] = await Promise.all(replies);
    for (const reply of [first, second, fourth, await others])
      expect(reply).toMatchObject({ answers: [{ from: "driver:one" }, { from: "driver:two" }], silent: [] });
    for (const reply of [third, fifth])
      expect(reply).toMatchObject({ answers: [{ from: "driver:two" }], silent: [tooLarge] });
    const next = desk.ask(drivers);
    await one.answer({ value });
    await two.answer({ value });
    expect(await next).toMatchObject({ silent: [] });
  });

  it("wait, no more of them than that, while it does not read, and reach it when it does", async () => {
    const limits = { eventBytes: 9_000, unsentBytes: 100_000 };
    await using hub = await start(limits);
    await using desk = await new RawClient(hub.url).join("/town", { role: "desk", id: "front", protocol: 1 });
    await using driver = await answering(hub, "d1");
    const count = 60;
    for (let n = 0; n < count; n += 1) {
      const question = { event: "free", data: { value: 1 }, to: d1, timeoutMs: 60_000 };
      desk.send(`42/town,${n}["hub:ask",${JSON.stringify(question)}]`);
    }
    const questions: HeardEntry[] = [];
    while (questions.length < count) questions.push(await driver.question());
    stall(desk);
    const end = hubEndOf(hub, "front", town);
    // The first is more than the system has room for, so that the second waits with the hub.
    end.emit("hub:reached", "x".repeat(50_000_000) as never);
    while (unsentBytes(end.conn) > 0) await turn();
    end.emit("hub:reached", "x".repeat(limits.unsentBytes) as never);
    const before = heldBytes(end);
    for (const question of questions) expect(await driver.reply(question, { value })).toEqual({ ok: true });
    await using other = await connect(hub, "desk", "back");
    const others = other.ask(d1);
    await driver.answer({ value });
    expect(await others).toMatchObject({ ok: true });
    expect(heldBytes(end)).toBeLessThanOrEqual(before);

    readOn(desk);
    const replies = () => desk.frames.filter((frame) => frame.startsWith("43/town,"));
    await desk.until(() => replies().length === count);
    const room = Math.floor(limits.unsentBytes / JSON.stringify({ value }).length);
    expect(replies().filter((frame) => frame.includes('"answers"'))).toHaveLength(room);
    expect(replies().filter((frame) => frame.includes("ANSWERS_TOO_LARGE"))).toHaveLength(count - room);
  });

  it("are handed out in parts where many questions end at once", async () => {
    const limits = { eventBytes: 9_000, messageBytes: 20_000 };
    await using hub = await start(limits);
    await using desk = await connect(hub, "desk", "front");
    await using one = await answering(hub, "one");
    const two = await answering(hub, "two");
    const replies = Array.from({ length: 100 }, () => desk.ask(drivers, undefined, { timeoutMs: 60_000 }));
    for (const _each of replies) await one.answer({ value });
    let [most, inTurn] = [0, 0];
    hubEndOf(hub, "front", town).conn.on("packetCreate", ({ data }: { readonly data?: string }) => {
      if (inTurn === 0) setImmediate(() => (inTurn = 0));
      inTurn += data?.length ?? 0;
      most = Math.max(most, inTurn);
    });
    await two[Symbol.asyncDispose]();
    for (const reply of await Promise.all(replies))
      expect(reply).toMatchObject({ answers: [{ from: "driver:one" }], silent: [{ from: "driver:two" }] });
    expect(most).toBeGreaterThan(8_000);
    expect(most).toBeLessThan(3 * limits.messageBytes); // of two parts, where one of the hub's turns begins within one of these
  });
});

it("an asker that is gone is no longer waited for, and the answer to it is ignored", async () => {
  await using hub = await start({ openAnswers: 1 });
  const desk = await connect(hub, "desk", "front");
  await using other = await connect(hub, "desk", "back");
  await using driver = await answering(hub, "d1");
  const lost = desk.ask(d1, undefined, { timeoutMs: 60_000 });
  const question = await driver.question();
  await desk[Symbol.asyncDispose]();
  await expect(lost).rejects.toThrow("disconnected");
  await gone(hub, "front");
  const reply = other.ask(d1, { value: "back" });
  expect((await driver.question())[1]).toEqual({ value: "back" });
  expect(await driver.reply(question, { value: 1 })).toEqual({ ok: true });
  await driver[Symbol.asyncDispose]();
  expect(await reply).toEqual(refusal("NOBODY_THERE"));
});

it("a hub that closes refuses what is open, for now", async () => {
  await using hub = await start();
  await using desk = await new Satellite(hub, "desk", "front", { reconnection: false }).connected();
  await using driver = await new Satellite(hub, "driver", "d1", { reconnection: false }).connected();
  await driver.send("hub:answer", { event: "free" });
  const reply = desk.ask(d1, undefined, { timeoutMs: 60_000 });
  await driver.question();
  await hub.stop();
  expect(await reply).toEqual({ ok: false, error: errorBody("HUB_CLOSING") });
});

it("a contract whose reply is not plain JSON is refused", () => {
  const events = { ...town.events, free: { ...town.events.free, reply: z.object({ at: z.date() }) } };
  const start = () => createHub({ contracts: [{ ...town, events }], log: {} as EventLog });
  expect(start).toThrow(/event "free": the reply is not plain JSON/);
});

function deep(levels: number): unknown {
  return JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`);
}
