import type { Receipt } from "@orrery/contracts";
import { createHub } from "../src/index.ts";
import { startHub } from "../src/testing.ts";
import type { PlainClient } from "./clients.ts";
import { forgetfulLog } from "./forgetful-log.ts";
import { connect, contracts, host } from "./house.ts";

describe("an event that was said", () => {
  it("has a receipt with its offset, and is on disk when the receipt comes", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, host);
    expect(await client.say("said", { id: "a" })).toEqual({ ok: true, id: expect.any(String), offset: 1 });
    expect(await client.say("said", { id: "b" }, { id: "my-id" })).toEqual({
      ok: true,
      id: "my-id",
      offset: 2,
    });
    const { events } = await hub.log.read({ after: 0 });
    expect(events.map(({ id, event, key, data, source }) => [id, event, key, data, source])).toEqual([
      [expect.any(String), "said", "a", '{"id":"a"}', "host:h"],
      ["my-id", "said", "b", '{"id":"b"}', "host:h"],
    ]);
  });

  it("happens once when it is said again under its id, also after a restart of the hub", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, host);
    await client.say("said", { id: "a" }, { id: "1" });
    const again = { ok: true, id: "1", offset: 1, duplicate: true };
    expect(await client.say("said", { id: "a" }, { id: "1" })).toEqual(again);
    await hub.stop();
    await hub.start();
    expect(await client.say("said", { id: "a" }, { id: "1" })).toEqual(again);
    await client.say("said", { id: "end" });
    expect((await client.take(2)).map(({ data }) => data)).toEqual([{ id: "a" }, { id: "end" }]);
  });

  it("is refused when its id is that of another event", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, host);
    await client.say("said", { id: "a" }, { id: "1" });
    expect(await client.say("said", { id: "b" }, { id: "1" })).toMatchObject({
      ok: false,
      error: { code: "ID_REUSED" },
    });
    expect(await client.say("said", { id: "b" }, { id: "2" })).toMatchObject({ ok: true, offset: 2 });
  });

  it("is not refused, nor taken for another one, because another satellite has used its id", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, host);
    await using thief = await connect(hub, { role: "host", id: "thief" });
    await thief.say("said", { id: "stolen" }, { id: "1" });
    await thief.say("said", { id: "b" }, { id: "2" });
    expect(await client.say("said", { id: "a" }, { id: "1" })).toEqual({ ok: true, id: "1", offset: 3 });
    expect(await client.say("said", { id: "b" }, { id: "2" })).toEqual({ ok: true, id: "2", offset: 4 });
    const heard = (await client.take(4)).map(({ data, meta: { id, source } }) => [data.id, id, source]);
    expect(heard).toEqual([
      ["stolen", "1", "host:thief"],
      ["b", "2", "host:thief"],
      ["a", "1", "host:h"],
      ["b", "2", "host:h"],
    ]);
  });

  it("carries what the hub knows of it, the same to everybody", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, host);
    await using listener = await connect(hub, { role: "guest", id: "g" });
    await speaker.say("said", { id: 'k"1\n', text: "ü😀" }, { id: 'i"d' });
    const [heard] = await listener.take(1);
    expect(heard).toEqual({
      event: "said",
      data: { id: 'k"1\n', text: "ü😀" },
      meta: {
        id: 'i"d',
        source: "host:h",
        type: "said",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        subject: 'k"1\n',
        offset: 1,
      },
    });
    expect(await speaker.take(1)).toEqual([heard]);
  });

  it("has no offset when it is not kept, and is heard all the same", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, host);
    expect(await client.say("waved", { id: "a" })).toEqual({
      ok: true,
      id: expect.any(String),
      offset: null,
    });
    const [{ meta } = { meta: {} }] = await client.take(1);
    expect(meta).not.toHaveProperty("offset");
    expect((await hub.log.read({ after: 0 })).events).toEqual([]);
  });

  it("replaces the one before when only the latest is kept", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, host);
    for (const mood of ["glad", "sad"]) await client.say("mood", { who: "g", mood });
    await client.say("mood", { who: "h", mood: "calm" });
    const { events } = await hub.log.read({ after: 0 });
    expect(events.map(({ offset, data }) => [offset, JSON.parse(data).mood])).toEqual([
      [2, "sad"],
      [3, "calm"],
    ]);
  });

  it("nobody listens to is a normal one", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, { ...host, events: [] });
    expect(await client.say("said", { id: "a" })).toMatchObject({ ok: true, offset: 1 });
    expect(client.heard).toEqual([]);
  });
});

describe("a batch", () => {
  const batched = { ...host, protocol: 1 };

  it("has one receipt for each event, in order, whatever becomes of each", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, batched);
    const entries = [
      ["said", { id: "a" }, { id: "1" }],
      ["said", { id: 7 }],
      ["waved", { id: "w" }],
      ["said", { id: "a" }, { id: "1" }],
      ["shouted", {}],
      ["said", { id: "b" }, { id: "1" }],
      ["said", { id: "c" }],
    ];
    const reply = await client.socket.emitWithAck("hub:emit", entries);
    const code = (value: string) => ({ ok: false, error: expect.objectContaining({ code: value }) });
    expect(reply).toEqual({
      ok: true,
      receipts: [
        { ok: true, id: "1", offset: 1 },
        code("DATA_INVALID"),
        { ok: true, id: expect.any(String), offset: null },
        { ok: true, id: "1", offset: 1, duplicate: true },
        code("UNKNOWN_EVENT"),
        code("ID_REUSED"),
        { ok: true, id: expect.any(String), offset: 2 },
      ],
    });
  });

  it("that is empty is answered", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, batched);
    expect(await client.socket.emitWithAck("hub:emit", [])).toEqual({ ok: true, receipts: [] });
  });

  it("is heard in the order in which it was said, by plain and batched listeners alike", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, batched);
    await using plain = await connect(hub, { role: "guest", id: "p" });
    await using listener = await connect(hub, { role: "guest", id: "b", protocol: 1 });
    await listener.socket.emitWithAck("hub:listen", { events: ["said"] });
    const ids = Array.from({ length: 750 }, (_, place) => `${place}`);
    for (let start = 0; start < 750; start += 250) {
      speaker.socket.emit(
        "hub:emit",
        ids.slice(start, start + 250).map((id) => ["said", { id }]),
      );
    }
    expect((await plain.take(750)).map(({ data }) => data.id)).toEqual(ids);
    expect((await listener.take(750)).map(({ data }) => data.id)).toEqual(ids);
  });
});

/** A log whose appends wait, one by one for `release`, or all for `finish`; or fail. */
const slowLog = () => {
  let release: () => void = () => undefined;
  let isSlow = true;
  let fails = false;
  const fail = (isFailing = true) => {
    fails = isFailing;
  };
  const log = forgetfulLog(async () => {
    if (isSlow) {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    }
    if (fails) throw new Error("the disk is on fire");
  });
  const finish = () => {
    isSlow = false;
    release();
  };
  return { log, release: () => release(), finish, fail };
};

describe("while the log", () => {
  it("is slow, events beyond the queue's bound are refused as retryable, and those within it get their receipts", async () => {
    const { log, release } = slowLog();
    const hub = createHub({ contracts, log, limits: { queueBytes: 40 } });
    await using client = await connect({ url: await hub.listen({ port: 0 }) }, { ...host, events: [] });
    const writing = client.say("said", { id: "first" });
    const waiting = client.say("said", { id: "second" });
    const refused = await client.say("said", { id: "this one is longer than what is left" });
    expect(refused).toMatchObject({ ok: false, error: { code: "HUB_BUSY", retryable: true } });
    release();
    expect(await writing).toMatchObject({ ok: true, offset: 1 });
    release();
    expect(await waiting).toMatchObject({ ok: true, offset: 2 });
    await hub.close();
  });

  it("fails, the events are refused as retryable, nobody hears of them, and the hub lives on", async () => {
    const { log, release, fail } = slowLog();
    fail();
    const hub = createHub({ contracts, log });
    await using client = await connect({ url: await hub.listen({ port: 0 }) }, host);
    const said = client.say("said", { id: "a" });
    await client.say("waved", { id: "sent after it, so the hub has it by now" });
    release();
    expect(await said).toMatchObject({ ok: false, error: { code: "LOG_FAILED", retryable: true } });
    await client.say("waved", { id: "end" });
    expect((await client.take(2)).map(({ event }) => event)).toEqual(["waved", "waved"]);
    await hub.close();
  });

  it("has an event when the hub is told to close, its receipt still comes, and newer ones are refused", async () => {
    const { log, release } = slowLog();
    const hub = createHub({ contracts, log });
    await using client = await connect({ url: await hub.listen({ port: 0 }) }, { ...host, events: [] });
    const told = client.next("hub:close");
    const taken = client.say("said", { id: "a" });
    await client.say("waved", { id: "sent after it" });
    const closing = hub.close();
    expect(await client.say("said", { id: "b" })).toMatchObject({
      ok: false,
      error: { code: "HUB_CLOSING" },
    });
    release();
    expect(await taken).toMatchObject({ ok: true, offset: 1 });
    expect(await told).toMatchObject({ code: "HUB_CLOSING", retryable: true });
    await closing;
  });
});

describe("a batch that is refused for now", () => {
  /** Says it in the batched form; for each event its place in the log, or the code that refuses it. */
  const say = async ({ socket }: PlainClient, ...ids: string[]) => {
    const entries = ids.map((id) => ["said", { id }, { id }]);
    const { receipts } = (await socket.emitWithAck("hub:emit", entries)) as { receipts: Receipt[] };
    return receipts.map((receipt) => (receipt.ok ? receipt.offset : receipt.error.code));
  };
  const large = "longer-than-what-is-left-of-the-queue";

  /** A hub whose log has one event to write, and whose queue has another one; a client that may say more, and another one. */
  const start = async (limits: object = {}) => {
    const { log, ...slow } = slowLog();
    const hub = createHub({ contracts, log, limits: { queueBytes: 50, resendMs: 60_000, ...limits } });
    const at = { url: await hub.listen({ port: 0 }) };
    const client = await connect(at, { ...host, protocol: 1 });
    const other = await connect(at, { role: "guest", id: "g", protocol: 1 });
    const first = say(client, "first");
    await marker(client);
    const second = say(client, "second");
    await marker(client);
    const close = async () => {
      slow.finish();
      for (const one of [client, other]) await one[Symbol.asyncDispose]();
      await hub.close();
    };
    return { ...slow, client, other, first, second, [Symbol.asyncDispose]: close };
  };
  /** What is not kept is answered at once: the hub has all that was said before it. */
  const marker = async (client: PlainClient) =>
    expect(await client.say("waved", { id: "marker" })).toMatchObject({ ok: true });

  it("because the queue is full is not overtaken by what was on its way behind it", async () => {
    await using hub = await start();
    const refused = [say(hub.client, large), say(hub.client, "a"), say(hub.client, "b", "c")];
    expect(await Promise.all(refused)).toEqual([["HUB_BUSY"], ["HUB_BUSY"], ["HUB_BUSY", "HUB_BUSY"]]);
    await marker(hub.client);
    hub.finish();
    expect(await hub.second).toEqual([2]);
    expect(await say(hub.client, "b", "c")).toEqual(["HUB_BUSY", "HUB_BUSY"]);
    expect(await say(hub.client, large, "a")).toEqual([3, 4]);
    expect(await say(hub.client, "b", "c")).toEqual([5, 6]);
  });

  it("because the log failed is not overtaken by what waited behind it", async () => {
    await using hub = await start();
    const others = say(hub.other, "others'");
    await marker(hub.other);
    hub.fail();
    hub.release();
    expect(await hub.first).toEqual(["LOG_FAILED"]);
    expect(await hub.second).toEqual(["LOG_FAILED"]);
    hub.fail(false);
    hub.finish();
    expect(await others).toEqual([1]);
    expect(await say(hub.client, "second")).toEqual(["LOG_FAILED"]);
    expect(await Promise.all([say(hub.client, "first"), say(hub.client, "second")])).toEqual([[2], [3]]);
  });

  it("holds up nothing that others say", async () => {
    await using hub = await start();
    const refused = say(hub.client, large);
    await marker(hub.client);
    const taken = [say(hub.other, "a"), hub.client.say("said", { id: "b" })];
    await Promise.all([marker(hub.other), marker(hub.client)]);
    hub.finish();
    expect(await refused).toEqual(["HUB_BUSY"]);
    expect(await Promise.all(taken)).toEqual([[3], expect.objectContaining({ ok: true, offset: 4 })]);
  });

  it("and given up holds up what its satellite says later, but for no longer than a bounded time", async () => {
    await using hub = await start({ resendMs: 300 });
    const refused = [say(hub.client, large), say(hub.client, "a")];
    expect(await Promise.all(refused)).toEqual([["HUB_BUSY"], ["HUB_BUSY"]]);
    hub.finish();
    expect(await hub.second).toEqual([2]);
    for (;;) {
      const [taken] = await say(hub.client, "b");
      if (taken === 3) break;
      expect(taken).toBe("HUB_BUSY");
    }
    expect(await say(hub.client, "c")).toEqual([4]);
  });
});
