import { defineContract, type Meta, OrreryError } from "@orrery/contracts";
import { startHub, type TestHub } from "@orrery/hub-core/testing";
import { z } from "zod";
import { type Answering, type AnswerOptions, type Answers, connect, type Satellite } from "../src/index.ts";
import { gate, turn } from "./waiting.ts";

const town = defineContract({
  name: "town",
  version: "1.0.0",
  roles: ["desk", "driver"],
  events: {
    arrived: {
      summary: "No question.",
      data: z.strictObject({ driverId: z.string(), city: z.string() }),
      keep: "log",
      rooms: { city: "city" },
      emit: { driver: "all" },
      hear: { desk: "all", driver: "all" },
    },
    capacity: {
      summary: "How much more does the driver take?",
      data: z.strictObject({
        unit: z.enum(["kg", "parcels"]).default("parcels"),
        note: z.string().optional(),
      }),
      reply: z.strictObject({ free: z.number(), note: z.string().default("") }),
      keep: "none",
      emit: { desk: "all", driver: "all" },
      hear: { driver: "all" },
    },
  },
});
type Town = typeof town;

const d1 = { to: { satellite: "driver:d1" } } as const;
const drivers = { to: { role: "driver" } } as const;
const withCode = (code: string) => expect.objectContaining({ code });

/** A satellite that is closed at the end of its test, and what its `onError` has heard. */
async function join(hub: TestHub, role: "desk" | "driver", id: string) {
  const errors: { readonly error: unknown; readonly meta: Meta | undefined }[] = [];
  const made = connect(town, {
    url: hub.url,
    role,
    id,
    onError: (error, meta) => errors.push({ error, meta }),
  });
  await made.ready();
  return Object.assign(made, { errors, [Symbol.asyncDispose]: () => made.close({ drainMs: 0 }) });
}

type Reply = { free: number; note?: string };

/** A driver that answers. */
async function driverOf(
  hub: TestHub,
  id: string,
  handler: (data: { unit: string; note?: string | undefined }, meta: Meta) => Reply | Promise<Reply>,
  options?: AnswerOptions,
) {
  const driver = await join(hub, "driver", id);
  const answering = driver.answer("capacity", handler, options);
  await answering.ready();
  return Object.assign(driver, { answering });
}

const start = (limits: object = {}) => startHub({ contracts: [town], limits });

/** The hub loses the satellite's connection, without a word. */
function cut({ hub }: TestHub, id: string): void {
  for (const socket of hub.namespace(town).sockets.values()) {
    if ((socket.data as { identity: { id: string } }).identity.id === id) socket.conn.close();
  }
}

it("a satellite asks another one by its name, and gets its answer", async () => {
  await using hub = await start();
  await using desk = await join(hub, "desk", "front");
  const asked: unknown[] = [];
  await using _driver = await driverOf(hub, "d1", ({ unit }, meta) => {
    asked.push([unit, meta]);
    return { free: 7 };
  });
  expect(await desk.ask("capacity", {}, d1)).toEqual({ free: 7, note: "" });
  expect(asked).toEqual([
    ["parcels", { id: expect.any(String), source: "desk:front", type: "capacity", time: expect.any(String) }],
  ]);
});

it("who said an event can be asked by its source", async () => {
  await using hub = await start();
  await using driver = await driverOf(hub, "d1", async () => ({ free: 1 }));
  await using desk = await join(hub, "desk", "front");
  const answered = new Promise<unknown>((resolve) => {
    desk.on("arrived", (_data, { source }) =>
      resolve(desk.ask("capacity", {}, { to: { satellite: source } })),
    );
  });
  await desk.ready();
  await driver.emit("arrived", { driverId: "d1", city: "recife" });
  expect(await answered).toEqual({ free: 1, note: "" });
});

it("a question to a role brings the answers that came, and who did not answer, and why", async () => {
  await using hub = await start();
  await using desk = await join(hub, "desk", "front");
  await using _one = await driverOf(hub, "one", () => ({ free: 1 }));
  await using _two = await driverOf(hub, "two", () => Promise.reject(new Error("No fuel.")));
  const never = gate();
  await using _three = await driverOf(hub, "three", () => never.isOpen.then(() => ({ free: 3 })));
  const { answers, silent } = await desk.ask("capacity", {}, { ...drivers, timeoutMs: 300 });
  expect(answers).toEqual([{ from: "driver:one", data: { free: 1, note: "" } }]);
  expect(silent.map(({ from, error }) => [from, error.code, error.message])).toEqual([
    ["driver:two", "ANSWER_FAILED", "No fuel."],
    ["driver:three", "TIMEOUT", expect.any(String)],
  ]);
  for (const { error } of silent) expect(error).toBeInstanceOf(OrreryError);
  never.open();
});

it("a question to a room reaches those that answer in it", async () => {
  await using hub = await start();
  await using desk = await join(hub, "desk", "front");
  await using _one = await driverOf(hub, "one", () => ({ free: 1 }), { rooms: ["city:recife"] });
  await using _two = await driverOf(hub, "two", () => ({ free: 2 }), { rooms: ["city:olinda"] });
  const recife = await desk.ask("capacity", {}, { to: { room: "city:recife" } });
  expect(recife.answers.map(({ from }) => from)).toEqual(["driver:one"]);
  expect(await desk.ask("capacity", {}, { to: { room: "city:natal" } })).toEqual({ answers: [], silent: [] });
});

describe("a question is rejected with", () => {
  it("NOBODY_THERE where nobody answers it, and FORBIDDEN where the hub refuses it", async () => {
    await using hub = await start();
    await using desk = await join(hub, "desk", "front");
    await expect(desk.ask("capacity", {}, d1)).rejects.toEqual(withCode("NOBODY_THERE"));
    const answering = desk.answer("capacity", () => ({ free: 0 }));
    await expect(answering.ready()).rejects.toEqual(withCode("FORBIDDEN"));
    await expect(answering.ready()).rejects.toEqual(withCode("FORBIDDEN"));
    expect(desk.errors).toEqual([{ error: withCode("FORBIDDEN"), meta: undefined }]);
  });

  it("the words of a handler that throws, which its own satellite hears of too", async () => {
    await using hub = await start();
    await using desk = await join(hub, "desk", "front");
    const failure = new Error("No fuel.");
    await using driver = await driverOf(hub, "d1", () => {
      throw failure;
    });
    await expect(desk.ask("capacity", {}, d1)).rejects.toMatchObject({
      code: "ANSWER_FAILED",
      message: "No fuel.",
      retryable: false,
    });
    expect(driver.errors).toEqual([
      { error: failure, meta: expect.objectContaining({ source: "desk:front" }) },
    ]);
  });

  it("ANSWER_INVALID where the answer does not fit, which the one who gave it hears of too", async () => {
    await using hub = await start();
    await using desk = await join(hub, "desk", "front");
    await using driver = await driverOf(hub, "d1", () => ({ free: "much" }) as never);
    const issues = [expect.objectContaining({ path: "free" })];
    await expect(desk.ask("capacity", {}, d1)).rejects.toMatchObject({ code: "ANSWER_INVALID", issues });
    while (driver.errors.length === 0) await turn();
    expect(driver.errors).toMatchObject([{ error: { code: "ANSWER_INVALID", issues }, meta: {} }]);
  });

  it("DATA_INVALID, and an answer with ANSWER_FAILED, where it is not plain JSON", async () => {
    await using hub = await start();
    await using desk = await join(hub, "desk", "front");
    await using driver = await driverOf(hub, "d1", () => ({ free: 1n }) as never);
    await expect(desk.ask("capacity", { note: 1n } as never, d1)).rejects.toEqual(withCode("DATA_INVALID"));
    await expect(desk.ask("capacity", {}, d1)).rejects.toEqual(withCode("ANSWER_FAILED"));
    expect(driver.errors).toMatchObject([{ error: { code: "DATA_INVALID" } }]);
  });

  it("EVENT_TOO_LARGE, and an answer with ANSWER_FAILED, where no message could hold it; the connections stay", async () => {
    await using hub = await start({ messageBytes: 20_000, eventBytes: 10_000 });
    await using desk = await join(hub, "desk", "front");
    const note = "x".repeat(30_000);
    await using _driver = await driverOf(hub, "d1", ({ unit }) => ({
      free: 1,
      note: unit === "kg" ? note : "",
    }));
    await expect(desk.ask("capacity", { note }, d1)).rejects.toEqual(withCode("EVENT_TOO_LARGE"));
    await expect(desk.ask("capacity", { unit: "kg" }, d1)).rejects.toEqual(withCode("ANSWER_FAILED"));
    expect(await desk.ask("capacity", {}, d1)).toEqual({ free: 1, note: "" });
  });

  it("CONFIG_INVALID where its time is out of range", async () => {
    await using hub = await start();
    await using desk = await join(hub, "desk", "front");
    for (const timeoutMs of [0, 60_001, Number.NaN]) {
      const asking = desk.ask("capacity", {}, { ...d1, timeoutMs });
      await expect(asking).rejects.toEqual(withCode("CONFIG_INVALID"));
    }
  });

  it("TIMEOUT where the answer is late, and where there is no hub", async () => {
    await using hub = await start();
    await using desk = await join(hub, "desk", "front");
    const { isOpen, open } = gate();
    await using _driver = await driverOf(hub, "d1", () => isOpen.then(() => ({ free: 1 })));
    const late = desk.ask("capacity", {}, { ...d1, timeoutMs: 20 });
    await expect(late).rejects.toEqual(withCode("TIMEOUT"));
    open();
    expect(await desk.ask("capacity", {}, d1)).toMatchObject({ free: 1 });
    await hub.stop();
    const alone = desk.ask("capacity", {}, { ...d1, timeoutMs: 20 });
    await expect(alone).rejects.toEqual(withCode("TIMEOUT"));
  });

  it("CONNECTION_LOST at once where the asker's connection is lost, and CLOSED where it is closed", async () => {
    await using hub = await start();
    await using desk = await join(hub, "desk", "front");
    const { isOpen, open } = gate();
    const asked = gate();
    await using _driver = await driverOf(hub, "d1", () => {
      asked.open();
      return isOpen.then(() => ({ free: 1 }));
    });
    const lost = desk.ask("capacity", {}, { ...d1, timeoutMs: 60_000 });
    const isLost = expect(lost).rejects.toEqual(withCode("CONNECTION_LOST"));
    await asked.isOpen;
    cut(hub, "front");
    await isLost;

    const closed = desk.ask("capacity", {}, { ...d1, timeoutMs: 60_000 });
    const isClosed = expect(closed).rejects.toEqual(withCode("CLOSED"));
    await desk.close({ drainMs: 0 });
    await isClosed;
    await expect(desk.ask("capacity", {}, d1)).rejects.toEqual(withCode("CLOSED"));
    expect(() => desk.answer("capacity", () => ({ free: 1 }))).toThrow(OrreryError);
    open();
  });
});

it("a question that is asked while there is no hub waits for it", async () => {
  await using hub = await start();
  await using desk = await join(hub, "desk", "front");
  await hub.stop();
  const asking = desk.ask("capacity", {}, { ...drivers, timeoutMs: 60_000 });
  await hub.start();
  expect(await asking).toMatchObject({ answers: [] });
});

it("a satellite that comes back answers again, and what it answers late to an earlier connection goes nowhere", async () => {
  await using hub = await start();
  await using desk = await join(hub, "desk", "front");
  const { isOpen, open } = gate();
  const asked = gate();
  let calls = 0;
  await using driver = await driverOf(hub, "d1", async () => {
    calls += 1;
    if (calls > 1) return { free: 2 };
    asked.open();
    await isOpen;
    return { free: 1 };
  });
  const first = desk.ask("capacity", {}, { ...d1, timeoutMs: 60_000 });
  const isLost = expect(first).rejects.toEqual(withCode("NOBODY_THERE"));
  await asked.isOpen;
  cut(hub, "d1");
  await isLost;
  while (driver.status === "online") await turn();
  await driver.answering.ready();
  open();
  expect(await desk.ask("capacity", {}, d1)).toMatchObject({ free: 2 });
  expect(driver.errors).toEqual([]);
});

it("a satellite that stops answering, or is closed, still finishes what it was asked", async () => {
  await using hub = await start();
  await using desk = await join(hub, "desk", "front");
  const finish = async (stop: (driver: Satellite<Town> & { answering: Answering }) => Promise<void>) => {
    const { isOpen, open } = gate();
    const asked = gate();
    const driver = await driverOf(hub, "d1", () => {
      asked.open();
      return isOpen.then(() => ({ free: 1 }));
    });
    const asking = desk.ask("capacity", {}, { ...d1, timeoutMs: 60_000 });
    await asked.isOpen;
    const stopping = stop(driver);
    const isGone = async () => {
      const error: unknown = await desk
        .ask("capacity", {}, { ...d1, timeoutMs: 1 })
        .catch((reason) => reason);
      return error instanceof OrreryError && error.code === "NOBODY_THERE";
    };
    while (!(await isGone())) await turn();
    open();
    expect(await asking).toMatchObject({ free: 1 });
    await stopping;
    return driver;
  };
  const stopped = await finish(({ answering }) => answering.stop());
  await expect(stopped.answering.ready()).rejects.toEqual(withCode("CLOSED"));
  await stopped.answer("capacity", () => ({ free: 5 })).ready();
  expect(await desk.ask("capacity", {}, d1)).toMatchObject({ free: 5 });
  await stopped.close();
  await finish((driver) => driver.close({ drainMs: 20_000 }));
});

it("a question has one handler", async () => {
  await using hub = await start();
  await using driver = await driverOf(hub, "d1", () => ({ free: 1 }));
  expect(() => driver.answer("capacity", () => ({ free: 2 }))).toThrow(/answers "capacity" already/);
  expect(await driver.ask("capacity", {}, d1)).toMatchObject({ free: 1 });
});

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_Claim extends true>() => undefined;
type Free = { free: number; note: string };

/** Compiled, never run: each function is a claim about types. */
const claims = {
  "one satellite gives its answer, many give theirs": async (desk: Satellite<Town>) => {
    const one = await desk.ask("capacity", { unit: "kg" }, { to: { satellite: "driver:d1" } });
    holds<Equal<typeof one, Free>>();
    const many = await desk.ask("capacity", {}, { to: { role: "driver" }, timeoutMs: 100 });
    holds<Equal<typeof many, Answers<Free>>>();
    const room = await desk.ask("capacity", {}, { to: { room: "city:recife" } });
    holds<Equal<typeof room, Answers<Free>>>();
  },
  "what is not in the contract, or asks nobody in particular, is refused": async (desk: Satellite<Town>) => {
    // @ts-expect-error: no such question
    await desk.ask("weight", {}, { to: { role: "driver" } });
    // @ts-expect-error: no question
    await desk.ask("arrived", { driverId: "d1", city: "recife" }, { to: { role: "driver" } });
    // @ts-expect-error: no such unit
    await desk.ask("capacity", { unit: "miles" }, { to: { role: "driver" } });
    // @ts-expect-error: nobody
    await desk.ask("capacity", {}, {});
    // @ts-expect-error: nobody
    await desk.ask("capacity", {}, { to: {} });
    // @ts-expect-error: no such role
    await desk.ask("capacity", {}, { to: { role: "pirate" } });
    // @ts-expect-error: two kinds at once
    await desk.ask("capacity", {}, { to: { role: "driver", room: "city:recife" } });
    // @ts-expect-error: two kinds at once
    await desk.ask("capacity", {}, { to: { satellite: "driver:d1", room: "city:recife" } });
    const one = await desk.ask("capacity", {}, { to: { satellite: "driver:d1" } });
    // @ts-expect-error: one satellite has one answer
    return one.answers;
  },
  "a handler gets the data and returns the reply": (driver: Satellite<Town>) => {
    driver.answer("capacity", ({ unit }, { source }) => {
      holds<Equal<typeof unit, "kg" | "parcels">>();
      return { free: source.length };
    });
    driver.answer("capacity", async () => ({ free: 1, note: "" }), { rooms: ["city:recife"] });
    // @ts-expect-error: no such question
    driver.answer("weight", () => ({}));
    // @ts-expect-error: no question
    driver.answer("arrived", () => ({}));
    // @ts-expect-error: a property is missing
    driver.answer("capacity", () => ({ note: "" }));
    // @ts-expect-error: a property has the wrong type
    driver.answer("capacity", async () => ({ free: "much" }));
    // @ts-expect-error: no answer
    driver.answer("capacity", () => undefined);
  },
  "a question is neither emitted nor heard, followed or worked on": async (driver: Satellite<Town>) => {
    // @ts-expect-error: a question
    await driver.emit("capacity", {});
    // @ts-expect-error: a question
    driver.on("capacity", () => undefined);
    // @ts-expect-error: a question
    driver.follow(["arrived", "capacity"], { as: "f" }, () => undefined);
    // @ts-expect-error: a question
    driver.work("capacity", { group: "g", capacity: 1 }, () => undefined);
  },
};

it.each(Object.keys(claims))("the compiler holds: %s", (claim) => {
  expect(claims).toHaveProperty([claim]);
});
