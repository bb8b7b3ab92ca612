import type { EventLog } from "@orrery/event-log";
import { createHub } from "../src/index.ts";
import { startHub } from "../src/testing.ts";
import { PlainClient } from "./clients.ts";
import { house } from "./house.ts";

const contracts = [house];
const host = { role: "host", id: "h" };
const connect = (url: string, auth: object) => new PlainClient(`${url}/house`, auth).connected();

describe("an event that was said", () => {
  it("has a receipt with its offset, and is on disk when the receipt comes", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub.url, host);
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
    await using client = await connect(hub.url, host);
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
    await using client = await connect(hub.url, host);
    await client.say("said", { id: "a" }, { id: "1" });
    expect(await client.say("said", { id: "b" }, { id: "1" })).toMatchObject({
      ok: false,
      error: { code: "ID_REUSED" },
    });
    expect(await client.say("said", { id: "b" }, { id: "2" })).toMatchObject({ ok: true, offset: 2 });
  });

  it("carries what the hub knows of it, the same to everybody", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub.url, host);
    await using listener = await connect(hub.url, { role: "guest", id: "g" });
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
    await using client = await connect(hub.url, host);
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
    await using client = await connect(hub.url, host);
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
    await using client = await connect(hub.url, { ...host, events: [] });
    expect(await client.say("said", { id: "a" })).toMatchObject({ ok: true, offset: 1 });
    expect(client.heard).toEqual([]);
  });
});

describe("a batch", () => {
  const batched = { ...host, protocol: 1 };

  it("has one receipt for each event, in order, whatever becomes of each", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub.url, batched);
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
    await using client = await connect(hub.url, batched);
    expect(await client.socket.emitWithAck("hub:emit", [])).toEqual({ ok: true, receipts: [] });
  });

  it("is heard in the order in which it was said, by plain and batched listeners alike", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub.url, batched);
    await using plain = await connect(hub.url, { role: "guest", id: "p" });
    await using listener = await connect(hub.url, { role: "guest", id: "b", protocol: 1 });
    await listener.socket.emitWithAck("hub:listen", { events: ["said"] });
    const ids = Array.from({ length: 900 }, (_, place) => `${place}`);
    for (let start = 0; start < 900; start += 300) {
      speaker.socket.emit(
        "hub:emit",
        ids.slice(start, start + 300).map((id) => ["said", { id }]),
      );
    }
    expect((await plain.take(900)).map(({ data }) => data.id)).toEqual(ids);
    expect((await listener.take(900)).map(({ data }) => data.id)).toEqual(ids);
  });
});

describe("while the log", () => {
  /** A log whose appends wait for `release`, or fail. */
  const slowLog = () => {
    let release: () => void = () => undefined;
    let fails = false;
    let head = 0;
    const fail = () => {
      fails = true;
    };
    const log: EventLog = {
      epoch: "e",
      get head() {
        return head;
      },
      async append(batch) {
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        if (fails) throw new Error("the disk is on fire");
        return batch.map(() => ({ offset: ++head, duplicate: false }));
      },
      read: async ({ after }) => ({ events: [], through: after, takenThrough: 0 }),
      readTexts: async ({ after }) => ({ texts: [], through: after, takenThrough: 0 }),
      records: async () => new Map(),
      offsetBefore: async () => 0,
      close: async () => undefined,
    };
    return { log, release: () => release(), fail };
  };

  it("is slow, events beyond the queue's bound are refused as retryable, and those within it get their receipts", async () => {
    const { log, release } = slowLog();
    const hub = createHub({ contracts, log, limits: { queueBytes: 40 } });
    await using client = await connect(await hub.listen({ port: 0 }), { ...host, events: [] });
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
    await using client = await connect(await hub.listen({ port: 0 }), host);
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
    await using client = await connect(await hub.listen({ port: 0 }), { ...host, events: [] });
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
