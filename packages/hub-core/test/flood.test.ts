import { once } from "node:events";
import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { WebSocket } from "ws";
import { createHub } from "../src/index.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { type PlainClient, RawClient } from "./clients.ts";
import { forgetfulLog } from "./forgetful-log.ts";
import { connect, contracts, host } from "./house.ts";
import { heldBytes, hubEndOf } from "./stall.ts";

const guest = { role: "guest", id: "g" };
const flooder = { role: "host", id: "flooder", events: [], protocol: 1 };
const said = (ackId: number | string, id = "a") => `42/house,${ackId}["said",{"id":"${id}"}]`;

/** The hub's end of the connection: whether it is read. */
const socketOf = (hub: Pick<TestHub, "hub">, id: string) =>
  (hubEndOf(hub as TestHub, id).conn.transport as unknown as { readonly socket: WebSocket }).socket;

/** Resolves when the hub reads nothing of what it still has to say. */
async function stopped(hub: Pick<TestHub, "hub">, raw: RawClient): Promise<void> {
  const hubEnd = socketOf(hub, "flooder");
  const { _socket: tcp } = hubEnd as unknown as { readonly _socket: Socket };
  for (let [turns, read] = [0, -1]; turns < 50; turns += 1) {
    await turn();
    if (hubEnd.isPaused && tcp.bytesRead === read && raw.socket.bufferedAmount > 0) continue;
    [turns, read] = [0, tcp.bytesRead];
  }
}

/** Says so many notes, one after the other. */
async function speak(client: PlainClient, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    expect(await client.say("said", { id: `${n}` })).toMatchObject({ ok: true });
  }
}

const limits = { eventsPerSecond: 500, eventsAtOnce: 500, debtEvents: 100 };

const filling = "x".repeat(100);

describe.each<[string, (raw: RawClient, n: number) => void]>([
  ["events", (raw, n) => raw.send(said(n))],
  ["events that do not fit the contract", (raw, n) => raw.send(`42/house,${n}["said",{"id":7}]`)],
  ["acks that nobody asked for", (raw, n) => raw.send(`43/house,${n}["${filling}"]`)],
  ["heartbeats", (raw) => raw.send(`3${filling}`)],
  ["WebSocket pings", (raw) => raw.socket.ping(filling)],
])("a flood of %s", (_what, say) => {
  it("is held back, and whoever is beside it hears everything meanwhile", async () => {
    await using hub = await startHub({ contracts, limits });
    await using speaker = await connect(hub, { ...host, events: [] });
    await using listener = await connect(hub, { ...guest, rooms: ["guest:g"] });
    await using raw = await new RawClient(hub.url).join("/house", flooder);
    const hubEnd = hubEndOf(hub, "flooder");
    let mostHeld = 0;
    let sent = 0;
    let isOver = false;
    const beganMs = performance.now();
    // As much as the connection takes: it waits only when its own buffer is full, since the hub does not read.
    const flooding = (async () => {
      while (!isOver) {
        for (let n = 0; n < 500 && raw.socket.bufferedAmount < 1_000_000; n += 1) say(raw, sent++);
        mostHeld = Math.max(mostHeld, heldBytes(hubEnd));
        await turn();
      }
    })();
    await stopped(hub, raw);
    for (let n = 0; n < 50; n += 1) {
      const whisper = { id: `${n}`, guest: "g" };
      expect(await speaker.say("whispered", whisper)).toMatchObject({ ok: true });
    }
    expect((await listener.take(50)).map(({ data }) => data.id)).toEqual(
      Array.from({ length: 50 }, (_, n) => `${n}`),
    );
    await stopped(hub, raw);
    isOver = true;
    await flooding;
    const seconds = (performance.now() - beganMs) / 1_000;
    const answers = raw.frames.filter((one) => one.startsWith("43/house,")).length;
    // Twice its rate, what is there at once, and what lay in the last read.
    expect(answers).toBeLessThan(2 * limits.eventsPerSecond * (seconds + 1) + 10_000);
    expect(sent).toBeGreaterThan(answers);
    expect(mostHeld).toBeLessThan(4_000_000);
    expect(hubEnd.conn.readyState).toBe("open");
  });
});

it("a flood of requests is held back", async () => {
  await using hub = await startHub({ contracts, limits: { requestsPerSecond: 10, requestsAtOnce: 10 } });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  const listen = { events: ["said"], after: "start", rooms: [`guest:${filling}`] };
  for (let n = 0; n < 100_000; n += 1) raw.send(`42/house,${n}["hub:listen",${JSON.stringify(listen)}]`);
  await stopped(hub, raw);
  await raw.until((frame) => frame.includes("RATE_LIMITED"));
  const passed = raw.frames.filter((frame) => frame.startsWith("43/house,") && frame.includes('"ok":true'));
  expect(passed.length).toBeLessThan(15);
  await using speaker = await connect(hub, host);
  await speak(speaker, 10);
});

it("a flood of joins of namespaces, there or not, is held back", async () => {
  await using hub = await startHub({ contracts, limits: { requestsPerSecond: 10, requestsAtOnce: 10 } });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  for (let n = 0; n < 100_000; n += 1) raw.send(`40/elsewhere-${n},{"say":"${filling}"}`);
  await stopped(hub, raw);
  expect(raw.frames.filter((frame) => frame.startsWith("44")).length).toBeLessThan(5_000);
});

it("more bytes than a connection may bring wait in its own buffers", async () => {
  await using hub = await startHub({
    contracts,
    limits: { bytesPerSecond: 100_000, bytesAtOnce: 100_000 },
  });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  const colour = filling.repeat(900);
  for (let n = 0; n < 200; n += 1) raw.send(`42/house,${n}["said",{"id":"a","colour":"${colour}"}]`);
  await stopped(hub, raw);
  await raw.until((frame) => frame.startsWith('43/house,2[{"ok":false'));
});

it("WebSocket pings are answered, but not while the answers are not read", async () => {
  const many = 10_000_000;
  const limits = {
    unsentBytes: 10_000,
    eventsPerSecond: many,
    eventsAtOnce: many,
    bytesPerSecond: 1_000 * many,
  };
  await using hub = await startHub({ contracts, limits: { ...limits, bytesAtOnce: 1_000 * many } });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  const pong = once(raw.socket, "pong");
  raw.socket.ping("are you there?");
  expect((await pong)[0].toString()).toBe("are you there?");

  raw.socket.pause();
  const hubEnd = hubEndOf(hub, "flooder");
  let mostHeld = 0;
  for (let n = 0; n < 200_000; n += 1) raw.socket.ping(filling);
  while (raw.socket.bufferedAmount > 0) {
    await turn();
    mostHeld = Math.max(mostHeld, heldBytes(hubEnd));
  }
  expect(mostHeld).toBeLessThan(1_000_000);
}, 60_000);

it("what came in one read is dealt with bit by bit, so that others have their turns in between", async () => {
  await using hub = await startHub({ contracts });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  let [inTurn, most, total] = [0, 0, 0];
  hubEndOf(hub, "flooder").onAny(() => {
    if (inTurn === 0) setImmediate(() => setImmediate(() => (inTurn = 0)));
    inTurn += 1;
    total += 1;
    most = Math.max(most, inTurn);
  });
  const count = 1_000;
  raw.sendTogether(Array.from({ length: count }, (_, n) => `42/house,${n}["said",{"id":7}]`));
  await raw.until((frame) => frame.startsWith(`43/house,${count - 1}[`));
  expect(total).toBe(count);
  expect(most).toBeLessThan(100);
  const answered = raw.frames.filter((frame) => frame.startsWith("43/house,"));
  expect(answered.map((frame) => Number.parseInt(frame.slice(9), 10))).toEqual(
    Array.from({ length: count }, (_, n) => n),
  );
});

/** A hub whose log writes nothing before it is let: the sizes of its commits, and one to write them by. */
async function startGated(changes: object) {
  const commits: number[] = [];
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const log = forgetfulLog(() => gate);
  const append = log.append.bind(log);
  log.append = (batch, ...rest) => {
    commits.push(batch.length);
    return append(batch, ...rest);
  };
  const hub = createHub({ contracts, log, limits: changes });
  const url = await hub.listen({ port: 0 });
  const close = async () => {
    open();
    await hub.close();
  };
  return { hub, url, commits, open, [Symbol.asyncDispose]: close };
}

it("what has no receipt yet is bounded: the connection is read again when there are some", async () => {
  await using hub = await startGated({ inFlightBytes: 20_000 });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  let taken = 0;
  hubEndOf(hub as unknown as TestHub, "flooder").onAny(() => (taken += 1));
  const count = 4_000;
  for (let n = 0; n < count; n += 1) raw.send(said(n, filling.repeat(50)));
  await stopped(hub, raw);
  // What is over the bound, and what lay in the reads before that was seen.
  expect(taken).toBeGreaterThan(4);
  expect(taken).toBeLessThan(60);
  hub.open();
  await raw.until((frame) => frame.startsWith(`43/house,${count - 1}[`));
  const answered = raw.frames.filter((frame) => frame.startsWith("43/house,"));
  expect(answered.map((frame) => Number.parseInt(frame.slice(9), 10))).toEqual(
    Array.from({ length: count }, (_, n) => n),
  );
});

it("nobody's event waits behind all that another connection has said: each has its share in a commit", async () => {
  await using hub = await startGated({ inFlightBytes: 100_000_000 });
  await using much = await connect(hub, { ...host, protocol: 1 });
  await using little = await connect(hub, { ...guest, protocol: 1 });
  const batch = Array.from({ length: 256 }, (_, n) => ["said", { id: `${n}` }]);
  const all = Promise.all(Array.from({ length: 10 }, () => much.socket.emitWithAck("hub:emit", batch)));
  // What is not kept is answered at once: the hub has all that was said before it.
  await much.say("waved", { id: "marker" });
  const one = little.say("said", { id: "one" });
  await little.say("waved", { id: "marker" });
  hub.open();
  expect((await one) as object).toMatchObject({ ok: true, offset: expect.any(Number) });
  expect(((await one) as { offset: number }).offset).toBeLessThan(400);
  const replies = await all;
  const offsets = replies.flatMap(({ receipts }) => receipts.map(({ offset }: { offset: number }) => offset));
  expect(offsets).toHaveLength(2_560);
  expect(offsets).toEqual(offsets.toSorted((a: number, b: number) => a - b));
  expect(Math.max(...hub.commits)).toBeLessThanOrEqual(129);
});

describe("a satellite that polls", () => {
  /** It has joined. Its requests, by hand. */
  async function join(hub: TestHub) {
    const polling = `${hub.url}/socket.io/?EIO=4&transport=polling`;
    const request = async (query: string, body?: string) => {
      const answer = await fetch(`${polling}${query}`, body === undefined ? {} : { method: "POST", body });
      return answer.text();
    };
    const { sid } = JSON.parse((await request("")).slice(1));
    const post = (body: string) => request(`&sid=${sid}`, body);
    await post(`40/house,${JSON.stringify(flooder)}`);
    return { post, poll: () => request(`&sid=${sid}`) };
  }

  it("has its messages taken in later when it says too much", async () => {
    await using hub = await startHub({
      contracts,
      limits: { eventsPerSecond: 100, eventsAtOnce: 10, debtEvents: 1 },
    });
    const { post } = await join(hub);
    await post(Array.from({ length: 150 }, (_, n) => said(n)).join("\x1e"));
    const beganMs = performance.now();
    expect(await post(said("last"))).toBe("ok");
    // 150 messages at twice the rate of events, less what was there at once.
    expect(performance.now() - beganMs).toBeGreaterThan(500);
  });
});

it("messages are not compressed, whatever a client offers, so that none is larger than it looks", async () => {
  await using hub = await startHub({ contracts });
  const socket = new WebSocket(`${hub.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, {
    perMessageDeflate: true,
  });
  await once(socket, "open");
  expect(socket.extensions).toBe("");
  socket.terminate();
  await once(socket, "close");
});
