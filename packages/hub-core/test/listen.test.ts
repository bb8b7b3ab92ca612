import type { Socket } from "node:net";
import { isWanted } from "@orrery/event-log";
import { startHub } from "../src/testing.ts";
import { PlainClient, RawClient } from "./clients.ts";
import { connect, contracts, host, noRates } from "./house.ts";

const ids = async (client: PlainClient, count: number) =>
  (await client.take(count)).map(({ data }) => data.id);

describe("a live event reaches", () => {
  it("everybody whose role may hear it, in the common pool", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, host);
    await using guest = await connect(hub, { role: "guest", id: "g" });
    await using poller = await connect(hub, { role: "guest", id: "p" }, { transports: ["polling"] });
    await using mute = await connect(hub, { role: "mute", id: "m" });
    await speaker.say("said", { id: "a" });
    for (const client of [speaker, guest, poller]) expect(await ids(client, 1)).toEqual(["a"]);
    expect(mute.heard).toEqual([]);
  });

  it("only the satellites whose room it concerns, where the role hears its own", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, { ...host, events: [] });
    await using one = await connect(hub, { role: "guest", id: "one" });
    await using two = await connect(hub, { role: "guest", id: "two" });
    await speaker.say("whispered", { id: "to one", guest: "one" });
    await speaker.say("whispered", { id: "to the satellite two", to: "two" });
    await speaker.say("whispered", { id: "to one by both rooms", guest: "one", to: "one" });
    await speaker.say("whispered", { id: "to nobody" });
    await speaker.say("said", { id: "end" });
    expect(await ids(one, 3)).toEqual(["to one", "to one by both rooms", "end"]);
    expect(await ids(two, 2)).toEqual(["to the satellite two", "end"]);
  });

  it("every connection of a satellite that is connected twice", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, { ...host, events: [] });
    await using first = await connect(hub, { role: "guest", id: "one" });
    await using second = await connect(hub, { role: "guest", id: "one" });
    await speaker.say("whispered", { id: "a", guest: "one" });
    for (const client of [first, second]) expect(await ids(client, 1)).toEqual(["a"]);
  });

  it("a plain client only as far as its handshake narrows it", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, { ...host, events: [] });
    await using byEvent = await connect(hub, { ...host, events: ["waved"] });
    await using byRoom = await connect(hub, { ...host, events: ["whispered"], rooms: ["guest:one"] });
    await speaker.say("said", { id: "a" });
    await speaker.say("whispered", { id: "b", guest: "two" });
    await speaker.say("whispered", { id: "c", guest: "one" });
    await speaker.say("waved", { id: "end" });
    expect(await ids(byEvent, 1)).toEqual(["end"]);
    expect(await ids(byRoom, 1)).toEqual(["c"]);
  });

  it("nobody after the last listener has gone, and the next one again", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, { ...host, events: [] });
    const gone = await connect(hub, { role: "guest", id: "g" });
    gone.socket.disconnect();
    await speaker.say("said", { id: "a" });
    await using next = await connect(hub, { role: "guest", id: "g" });
    await speaker.say("said", { id: "b" });
    expect(await ids(next, 1)).toEqual(["b"]);
    expect(gone.heard).toEqual([]);
  });
});

describe("a batched listener", () => {
  const batched = { ...host, protocol: 1 };
  const listen = (client: PlainClient, request: object) => client.socket.emitWithAck("hub:listen", request);

  it("is welcomed with the log's cursor and the limits that concern it", async () => {
    await using hub = await startHub({ contracts, limits: { eventBytes: 1_234 } });
    const client = new PlainClient(`${hub.url}/house`, batched);
    const welcome = await client.next("hub:welcome");
    expect(welcome).toEqual({
      contract: { name: "house", version: "1.0.0" },
      satellite: host,
      cursor: `${hub.log.epoch}:0`,
      limits: { eventBytes: 1_234, batchEvents: 256, messageBytes: 262_144 },
    });
    await client[Symbol.asyncDispose]();
  });

  it("hears nothing before it listens, then what it asked for, then what it asks for next", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, { ...host, events: [] });
    await using client = await connect(hub, batched);
    await speaker.say("said", { id: "a" });
    expect(await listen(client, { events: ["said"] })).toEqual({ ok: true, cursor: `${hub.log.epoch}:1` });
    await speaker.say("waved", { id: "b" });
    await speaker.say("said", { id: "c" });
    expect(await listen(client, { events: ["waved"] })).toMatchObject({ ok: true });
    await speaker.say("said", { id: "d" });
    await speaker.say("waved", { id: "e" });
    expect(await ids(client, 2)).toEqual(["c", "e"]);
  });

  it("hears first what was kept after its cursor, from the disk, then live", async () => {
    await using hub = await startHub({ contracts, limits: { tailBytes: 1 } });
    await using speaker = await connect(hub, { ...host, events: [] });
    for (const id of ["a", "b", "c"]) await speaker.say("said", { id });
    await using fromStart = await connect(hub, batched);
    await using fromTwo = await connect(hub, batched);
    expect(await listen(fromStart, { events: ["said"], after: "start" })).toMatchObject({ ok: true });
    expect(await listen(fromTwo, { events: ["said"], after: `${hub.log.epoch}:2` })).toMatchObject({
      ok: true,
    });
    expect(await ids(fromStart, 3)).toEqual(["a", "b", "c"]);
    expect(await ids(fromTwo, 1)).toEqual(["c"]);
    await speaker.say("said", { id: "d" });
    for (const client of [fromStart, fromTwo]) expect(await ids(client, 1)).toEqual(["d"]);
  });

  it("hears the same text live and from the log", async () => {
    await using hub = await startHub({ contracts, limits: { tailBytes: 1 } });
    await using live = await connect(hub, host);
    await using speaker = await connect(hub, { ...host, events: [] });
    await speaker.say("whispered", { id: 'k"ü\u2028', guest: "g" }, { id: 'i"d' });
    await speaker.say("said", { id: "b" });
    await using late = await connect(hub, batched);
    await listen(late, { events: ["said", "whispered"], after: "start" });
    expect(await late.take(2)).toEqual(await live.take(2));
  });

  it.each([
    ["the disk", 1],
    ["the disk and then memory", 20_000],
  ])(
    "misses nothing and hears nothing twice while it catches up from %s and others speak at full speed",
    async (_from, tailBytes) => {
      await using hub = await startHub({ contracts, limits: { tailBytes } });
      await using speaker = await connect(hub, { ...batched });
      const total = 6_000;
      let said = 0;
      const batch = () =>
        speaker.socket.emitWithAck(
          "hub:emit",
          Array.from({ length: 50 }, () => [++said % 3 === 0 ? "waved" : "said", { id: `${said}` }]),
        );
      const speak = async () => {
        while (said < total) await Promise.all([batch(), batch(), batch()]);
      };
      const speaking = [speak(), speak()];
      // Listeners start at different moments of the flood, some over and over again from where they are.
      const listeners = await Promise.all(
        Array.from({ length: 8 }, async (_, place) => {
          const client = await connect(hub, { role: "guest", id: `g${place}`, protocol: 1 });
          await listen(client, { events: ["said"], after: "start" });
          return client;
        }),
      );
      for (let turn = 0; turn < 10; turn += 1) {
        for (const client of listeners.slice(4)) {
          const after = `${hub.log.epoch}:${client.heard.at(-1)?.meta.offset ?? 0}`;
          client.socket.emit("hub:listen", { events: ["said"], after });
          await client.socket.emitWithAck("hub:listen", { events: ["said"] });
        }
      }
      await Promise.all(speaking);
      await speaker.say("said", { id: "end" });
      const kept: string[] = [];
      for (let after = 0; after < hub.log.head; ) {
        const page = await hub.log.read({
          after,
          filter: { contract: "house", events: new Map([["said", "all"]]) },
        });
        kept.push(...page.events.map(({ data }) => JSON.parse(data).id));
        after = page.through;
      }
      for (const [place, client] of listeners.entries()) {
        while (client.heard.at(-1)?.data.id !== "end") await client.next("hub:events");
        const offsets = client.heard.map(({ meta }) => meta.offset as number);
        if (place < 4) {
          expect(client.heard.map(({ data }) => data.id)).toEqual(kept);
          expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
        }
        expect(new Set(offsets).size).toBe(kept.length);
        await client[Symbol.asyncDispose]();
      }
    },
  );

  it("is told when its cursor is of another history, and hears this one from its start", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, { ...host, events: [] });
    await speaker.say("said", { id: "a" });
    await using client = await connect(hub, batched);
    const gap = client.next("hub:gap");
    const cursor = `${hub.log.epoch}:0`;
    expect(await listen(client, { events: ["said"], after: "another:7" })).toEqual({ ok: true, cursor });
    expect(await gap).toEqual({ reason: "epoch", after: "another:7", until: cursor });
    expect(await ids(client, 1)).toEqual(["a"]);
  });

  it.each([
    ["an unknown event", { events: ["shouted"] }, "UNKNOWN_EVENT"],
    ["what only the prototype has", { events: ["constructor"] }, "UNKNOWN_EVENT"],
    ["an event that its role may not hear", { events: ["free"] }, "FORBIDDEN"],
    ["a room that is not its own", { events: ["whispered"], rooms: ["guest:other"] }, "FORBIDDEN"],
    ["something that is no room", { events: ["whispered"], rooms: ["__proto__"] }, "ROOM_INVALID"],
    ["a room of an unknown prefix", { events: ["whispered"], rooms: ["constructor:x"] }, "ROOM_INVALID"],
    ["a room without a value", { events: ["whispered"], rooms: ["guest:"] }, "ROOM_INVALID"],
    ["too many rooms", { events: ["whispered"], rooms: Array(101).fill("guest:g") }, "MESSAGE_INVALID"],
    ["a cursor that is none", { events: ["said"], after: "7" }, "CURSOR_INVALID"],
    ["nothing", null, "MESSAGE_INVALID"],
    ["something unknown", { events: [], colour: "red" }, "MESSAGE_INVALID"],
    ["events that are no list", { events: "said" }, "MESSAGE_INVALID"],
  ])("that asks for %s is refused, and hears on what it heard", async (_what, request, code) => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, { role: "guest", id: "g", protocol: 1 });
    await listen(client, { events: ["said"] });
    expect(await listen(client, request as object)).toMatchObject({ ok: false, error: { code } });
    await client.say("said", { id: "a" });
    expect(await ids(client, 1)).toEqual(["a"]);
  });

  it("that asks for a cursor beyond the log's end is refused", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, batched);
    const reply = await listen(client, { events: ["said"], after: `${hub.log.epoch}:1` });
    expect(reply).toMatchObject({ ok: false, error: { code: "CURSOR_INVALID" } });
  });

  it("is told how far it is, though it hears of nothing", async () => {
    await using hub = await startHub({ contracts, limits: { reachedMs: 20 } });
    await using speaker = await connect(hub, { ...host, events: [] });
    await using client = await connect(hub, batched);
    await listen(client, { events: ["waved"] });
    await speaker.say("said", { id: "a" });
    while ((await client.next("hub:reached")) !== 1) expect(hub.log.head).toBe(1);
    expect(client.heard).toEqual([]);
  });

  it("that never answers a page holds up nobody else", async () => {
    await using hub = await startHub({ contracts, limits: { tailBytes: 1 } });
    await using speaker = await connect(hub, { ...host, events: [] });
    for (const id of ["a", "b"]) await speaker.say("said", { id });
    await using silent = await connect(hub, batched);
    silent.socket.offAny();
    const page = new Promise((resolve) => silent.socket.once("hub:events", resolve));
    await listen(silent, { events: ["said"], after: "start" });
    await page;
    await using other = await connect(hub, batched);
    await other.socket.emitWithAck("hub:listen", { events: ["said"], after: "start" });
    await speaker.say("said", { id: "c" });
    expect(await ids(other, 3)).toEqual(["a", "b", "c"]);
  });
});

it("a page of the log is shorter while events pass live, which wait for what is sent before them", async () => {
  const limits = { ...noRates, batchEvents: 2_000 };
  await using hub = await startHub({ contracts, limits });
  {
    await using speaker = await connect(hub, { ...host, protocol: 1 });
    await speaker.say(
      "hub:emit",
      Array.from({ length: 2_000 }, (_, n) => ["said", { id: `${n}` }]),
    );
  }
  await hub.stop();
  await hub.start();
  const firstPage = async () => {
    await using raw = await new RawClient(hub.url).join("/house", { ...host, protocol: 1 });
    raw.send('42/house,0["hub:listen",{"events":["said"],"after":"start"}]');
    const page = await raw.until((frame) => frame.includes('["hub:events"'));
    return page.split('"offset":').length - 1;
  };
  expect(await firstPage()).toBe(1_000);
  await using speaker = await connect(hub, host);
  let isOver = false;
  const speaking = (async () => {
    while (!isOver) await speaker.say("said", { id: "live" });
  })();
  while ((await firstPage()) !== 200);
  isOver = true;
  await speaking;
});

it("what is wanted is the same for a page of the log as for an audience", () => {
  const filter = {
    contract: "house",
    events: new Map<string, "all" | Set<string>>([
      ["said", "all"],
      ["whispered", new Set(["guest:one"])],
    ]),
  };
  const event = { contract: "house", event: "whispered", rooms: ["satellite:x", "guest:one"] };
  expect(isWanted(filter, event)).toBe(true);
  expect(isWanted(filter, { ...event, rooms: ["guest:two"] })).toBe(false);
  expect(isWanted(filter, { ...event, contract: "other" })).toBe(false);
  expect(isWanted(filter, { ...event, event: "said", rooms: [] })).toBe(true);
  expect(isWanted(filter, { ...event, event: "waved" })).toBe(false);
});

it("who asks to listen in one piece with leaving hears nothing", async () => {
  await using hub = await startHub({ contracts });
  await using speaker = await connect(hub, { ...host, id: "speaker", events: [] });
  await speaker.say("said", { id: "a" });
  await using raw = await new RawClient(hub.url).join("/house", { ...host, protocol: 1 });
  const { _socket: tcp } = raw.socket as unknown as { readonly _socket: Socket };
  tcp.cork();
  raw.send("41/house,");
  raw.send('42/house,0["hub:listen",{"events":["said"],"after":"start"}]');
  tcp.uncork();
  await using other = await connect(hub, { ...host, id: "other", protocol: 1 });
  await other.socket.emitWithAck("hub:listen", { events: ["said"], after: "start" });
  expect(await ids(other, 1)).toEqual(["a"]);
  raw.send("40/elsewhere,");
  await raw.until((frame) => frame.startsWith("44/elsewhere,"));
  expect(raw.frames.filter((frame) => frame.startsWith("42/house,") && frame.includes("hub:events"))).toEqual(
    [],
  );
  expect(raw.frames.filter((frame) => frame.startsWith("43/house,"))).toEqual([]);
});
