import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import type { Accepted } from "@orrery/contracts";
import { WebSocket } from "ws";
import type { HubSocket } from "../src/audience.ts";
import { unsentBytes, whenOver } from "../src/connection.ts";
import { createHub, defaultLimits } from "../src/index.ts";
import { silentLogger } from "../src/logger.ts";
import { mostWaitMs } from "../src/share.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { type PlainClient, RawClient } from "./clients.ts";
import { forgetfulLog } from "./forgetful-log.ts";
import { connect, contracts, host, house, noRates } from "./house.ts";
import { heldBytes, hubEndOf } from "./stall.ts";

const guest = { role: "guest", id: "g" };
const flooder = { role: "host", id: "flooder", events: [], protocol: 1 };
const said = (ackId: number | string, id = "a") => `42/house,${ackId}["said",{"id":"${id}"}]`;

/** The hub's end of the connection: whether it is read. */
const socketOf = (hub: Pick<TestHub, "hub">, id: string) =>
  (hubEndOf(hub as TestHub, id).conn.transport as unknown as { readonly socket: WebSocket }).socket;

const tcpOf = (hub: Pick<TestHub, "hub">, id: string) =>
  (socketOf(hub, id) as unknown as { readonly _socket: Socket })._socket;

/** Longer than a connection waits for its next turn. Milliseconds. */
const restMs = mostWaitMs + 100;

/** Resolves when the hub reads nothing of what it still has to say, and not for its turn's sake. */
async function stopped(hub: Pick<TestHub, "hub">, raw: RawClient): Promise<void> {
  const hubEnd = socketOf(hub, "flooder");
  const tcp = tcpOf(hub, "flooder");
  for (let [sinceMs, read] = [performance.now(), -1]; performance.now() - sinceMs < restMs; ) {
    await turn();
    if (hubEnd.isPaused && tcp.bytesRead === read && raw.socket.bufferedAmount > 0) continue;
    [sinceMs, read] = [performance.now(), tcp.bytesRead];
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
  ["WebSocket pongs", (raw) => raw.socket.pong(filling)],
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
    // Were its messages not counted, it might bring twice that at once.
    expect(tcpOf(hub, "flooder").bytesRead).toBeLessThan(4_000_000);
    expect(hubEnd.conn.readyState).toBe("open");
  });
});

it("a flood of requests is held back, and the log tells of it once", async () => {
  const warned: string[] = [];
  const warn = (_context: object, text: string) => void warned.push(text);
  await using hub = await startHub({
    contracts,
    limits: { requestsPerSecond: 10, requestsAtOnce: 10 },
    logger: { ...silentLogger, warn },
  });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  const listen = { events: ["said"], after: "start", rooms: [`guest:${filling}`] };
  for (let n = 0; n < 100_000; n += 1) raw.send(`42/house,${n}["hub:listen",${JSON.stringify(listen)}]`);
  await stopped(hub, raw);
  await raw.until((frame) => frame.includes("RATE_LIMITED"));
  const passed = raw.frames.filter((frame) => frame.startsWith("43/house,") && frame.includes('"ok":true'));
  expect(passed.length).toBeLessThan(15);
  expect(warned).toEqual(["a connection says too much"]);
  await using speaker = await connect(hub, host);
  await speak(speaker, 10);
});

it("a connection that is not listened to for long is not taken for dead", async () => {
  const limits = { eventsPerSecond: 50, eventsAtOnce: 50, debtEvents: 1 };
  await using hub = await startHub({
    contracts,
    limits: { ...limits, pingIntervalMs: 400, pingTimeoutMs: 800 },
  });
  await using client = await connect(hub, flooder);
  let drops = 0;
  client.socket.on("disconnect", () => (drops += 1));
  // Its refusals alone take nearly two seconds of its rate.
  const replies = await Promise.all(Array.from({ length: 400 }, () => client.say("waved", { id: "a" })));
  expect(replies.filter(({ ok }) => !ok).length).toBeGreaterThan(100);
  while (!(await client.say("waved", { id: "a" })).ok);
  expect(drops).toBe(0);
});

it("a connection that is not listened to and ends costs the hub nothing more", async () => {
  await using hub = await startHub({
    contracts,
    limits: { eventsPerSecond: 1, eventsAtOnce: 1, debtEvents: 1 },
  });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  // In one piece of what the system reads.
  const { _socket: tcp } = raw.socket as unknown as { readonly _socket: Socket };
  tcp.cork();
  for (let n = 0; n < 1_000; n += 1) raw.send(said(n));
  tcp.uncork();
  await raw.until((frame) => frame.startsWith("43/house,20["));
  while (!socketOf(hub, "flooder").isPaused) await turn();
  // That is waited for once, and not once for each message.
  expect(hubEndOf(hub, "flooder").conn.listenerCount("close")).toBeLessThan(20);
  const beganMs = performance.now();
  await hub.stop(); // waits 1 s for it to read on
  expect(performance.now() - beganMs).toBeLessThan(5_000);
});

it("nothing waits for a connection that is gone", async () => {
  await using hub = await startHub({ contracts });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  const over = whenOver(hubEndOf(hub, "flooder").conn, 600_000);
  raw.socket.terminate();
  await over;
});

describe("all connections of a satellite together", () => {
  const isHeld = (connection: HubSocket) =>
    (connection.conn.transport as unknown as { readonly socket: WebSocket }).socket.isPaused;
  const socketsOf = (hub: Pick<TestHub, "hub">) =>
    [...hub.hub.namespace(house).sockets.values()] as HubSocket[];
  /** Which ones are not listened to, and not for their turn's sake, when the second is one of them. */
  async function heldForLong(hub: Pick<TestHub, "hub">): Promise<boolean[]> {
    let [sinceMs, held] = [performance.now(), [false]];
    while (!held[1] || performance.now() - sinceMs < restMs) {
      await turn();
      const now = socketsOf(hub).map(isHeld);
      if (now.join() !== held.join()) [sinceMs, held] = [performance.now(), now];
    }
    return held;
  }
  /** Two of one satellite and one of another, in this order. */
  async function three(hub: { readonly url: string }) {
    const join = (id: string) => new RawClient(hub.url).join("/house", { ...flooder, id });
    const all = [await join("first"), await join("first"), await join("third")] as const;
    return Object.assign(all, {
      async [Symbol.asyncDispose]() {
        for (const raw of all) await raw[Symbol.asyncDispose]();
      },
    });
  }

  it.each<[string, object, number]>([
    ["events", { eventsPerSecondPerSatellite: 1, eventsAtOnce: 50, debtEvents: 5 }, 1],
    ["bytes", { ...noRates, bytesPerSecondPerSatellite: 10_000, bytesAtOnce: 50_000 }, 1_000],
  ])("are not listened to when they have said too many %s", async (_what, limits, length) => {
    await using hub = await startHub({ contracts, limits });
    await using all = await three(hub);
    const [first, second, third] = all;
    const say = (raw: RawClient, count: number) => {
      for (let n = 0; n < count; n += 1) raw.send(`42/house,${n}["waved",{"id":"${"x".repeat(length)}"}]`);
    };
    for (const raw of [first, third]) {
      say(raw, 49);
      await raw.until((frame) => frame.startsWith("43/house,48["));
      expect(raw.frames.filter((frame) => frame.includes('"ok":false'))).toEqual([]);
    }
    say(second, 80); // it might, were it alone
    expect(await heldForLong(hub)).toEqual([false, true, false]);
  });

  it("have so much on its way to disk at most, and are read again when it is there", async () => {
    await using hub = await startGated({ ...noRates, inFlightBytesPerSatellite: 20_000 });
    await using all = await three(hub);
    const [first, second, third] = all;
    for (const raw of [first, third, second]) {
      for (let n = 0; n < 15; n += 1) raw.send(said(n, filling.repeat(10)));
    }
    // The first one only where it had more to say then.
    expect(await heldForLong(hub)).toEqual([expect.any(Boolean), true, false]);
    hub.open();
    for (const raw of [first, second, third]) {
      await raw.until((frame) => frame.startsWith("43/house,14["));
    }
    while (socketsOf(hub).some(isHeld)) await turn();
  });

  it.each([defaultLimits.workPercentPerSatellite, 16])(
    "have their share of the hub's time when others want some, %i %%: one waits until the other's work is worked off",
    async (percent) => {
      await using hub = await startHub({
        contracts,
        limits: { ...noRates, workPercentPerSatellite: percent },
      });
      await using _other = await chatter(hub);
      await using all = await three(hub);
      const [first, second, third] = all;
      const workMs = 20;
      const begins = new Map<string, number>();
      for (const socket of socketsOf(hub)) {
        socket.onAny((_event, { id }) => {
          begins.set(id, performance.now());
          while (id === "work" && performance.now() - (begins.get(id) as number) < workMs);
        });
      }
      // More of it waits when the first is dealt with.
      first.sendTogether([said(0, "work"), ...Array.from({ length: 50 }, () => said(1, filling))]);
      while (!begins.has("work")) await turn();
      second.send(said(0, "second"));
      third.send(said(0, "third"));
      await second.until((frame) => frame.startsWith("43/house,0["));
      const waitedMs = (id: string) => (begins.get(id) as number) - (begins.get("work") as number) - workMs;
      expect(waitedMs("second")).toBeGreaterThan((80 * workMs) / percent);
      expect(waitedMs("third")).toBeLessThan((40 * workMs) / percent);
    },
  );

  it("take their turns one after the other", async () => {
    await using hub = await startHub({ contracts, limits: noRates });
    await using _other = await chatter(hub);
    await using all = await three(hub);
    const [first, second] = all;
    const workMs = 5;
    const begins: number[] = [];
    for (const socket of socketsOf(hub)) {
      socket.onAny(() => {
        const beganMs = performance.now();
        begins.push(beganMs);
        while (performance.now() - beganMs < workMs);
      });
    }
    const count = 15;
    for (const raw of [first, second]) {
      raw.sendTogether(Array.from({ length: count }, (_, n) => said(n, filling.repeat(20))));
    }
    for (const raw of [first, second]) {
      await raw.until((frame) => frame.startsWith(`43/house,${count - 1}[`));
    }
    // Side by side they would take half as long.
    const tookMs = (begins.at(-1) as number) - (begins[0] as number);
    expect(tookMs).toBeGreaterThan((70 * 2 * count * workMs) / defaultLimits.workPercentPerSatellite);
  });
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
    limits: { bytesPerSecond: 1_000_000, bytesAtOnce: 100_000 },
  });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  const tcp = tcpOf(hub, "flooder");
  const colour = filling.repeat(900);
  const beganMs = performance.now();
  for (let n = 0; n < 200; n += 1) raw.send(`42/house,${n}["said",{"id":"a","colour":"${colour}"}]`);
  while (tcp.bytesRead < 1_000_000) await turn();
  // Less what was there at once, and what lay in the last read: 0.8 s of its rate.
  expect(performance.now() - beganMs).toBeGreaterThan(700);
  expect(raw.socket.bufferedAmount).toBeGreaterThan(0);
  await raw.until((frame) => frame.startsWith('43/house,2[{"ok":false'));
});

/** Somebody who says something all the time. */
async function chatter(hub: TestHub) {
  const raw = await new RawClient(hub.url).join("/house", guest);
  const timer = setInterval(() => raw.send("3"), 1);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await raw[Symbol.asyncDispose]();
    },
  };
}

describe("who keeps the hub at work", () => {
  const workMs = 5;

  /** Says so many messages in one piece, each of which takes the hub so long. From each one to the next. Milliseconds. */
  async function gapsOf(hub: TestHub, count: number, workOf: (place: number) => number): Promise<number[]> {
    await using raw = await new RawClient(hub.url).join("/house", flooder);
    const begins: number[] = [];
    hubEndOf(hub, "flooder").onAny(() => {
      const beganMs = performance.now();
      const ms = workOf(begins.push(beganMs) - 1);
      while (performance.now() - beganMs < ms);
    });
    raw.sendTogether(Array.from({ length: count }, (_, n) => said(n, filling.repeat(20))));
    await raw.until((frame) => frame.startsWith(`43/house,${count - 1}[`));
    return begins.slice(1).map((ms, place) => ms - (begins[place] as number));
  }
  const sumOf = (gaps: readonly number[]) => gaps.reduce((sum, ms) => sum + ms, 0);

  it("waits four times as long before it is read on, so that others have their time", async () => {
    await using hub = await startHub({ contracts, limits: noRates });
    await using _other = await chatter(hub);
    // Timers may be a millisecond early each time.
    expect(sumOf(await gapsOf(hub, 20, () => workMs))).toBeGreaterThan(19 * (5 * workMs - 1));
  });

  it.each<[string, (work: () => void) => void | Promise<void>]>([
    ["it is the last piece that takes so long", (work) => work()],
    [
      "the hub was at it in promises",
      async (work) => {
        for (let hop = 0; hop < 10; hop += 1) await Promise.resolve();
        work();
      },
    ],
  ])("waits as well where %s", async (_where, workIn) => {
    await using hub = await startHub({ contracts, limits: noRates });
    await using _other = await chatter(hub);
    await using raw = await new RawClient(hub.url).join("/house", flooder);
    const begins: number[] = [];
    const sayNext = () => raw.send(said(begins.length, filling.repeat(15))); // two pieces, which bring it at their end
    hubEndOf(hub, "flooder").onAny(() => {
      begins.push(performance.now());
      if (begins.length < 20) sayNext(); // the hub reads it in a later turn
      void workIn(() => {
        while (performance.now() - (begins.at(-1) as number) < workMs);
      });
    });
    sayNext();
    await raw.until((frame) => frame.startsWith("43/house,19["));
    expect((begins.at(-1) as number) - (begins[0] as number)).toBeGreaterThan(19 * (5 * workMs - 1));
  });

  it("waits as well where the end of its message comes later, by itself", async () => {
    await using hub = await startHub({ contracts, limits: noRates });
    await using _other = await chatter(hub);
    await using raw = await new RawClient(hub.url).join("/house", flooder);
    const begins: number[] = [];
    hubEndOf(hub, "flooder").onAny(() => {
      begins.push(performance.now());
      while (performance.now() - (begins.at(-1) as number) < workMs);
    });
    for (let n = 0; n < 10; n += 1) {
      const { bytesRead } = tcpOf(hub, "flooder");
      const end = raw.sendAllBut(10, said(n, filling.repeat(15)));
      while (tcpOf(hub, "flooder").bytesRead < bytesRead + 1_500) await turn();
      end();
      await raw.until((frame) => frame.startsWith(`43/house,${n}[`));
    }
    expect((begins.at(-1) as number) - (begins[0] as number)).toBeGreaterThan(9 * (5 * workMs - 1));
  });

  it("is read on in the next turn where nobody else says anything", async () => {
    await using hub = await startHub({ contracts, limits: noRates });
    const gaps = (await gapsOf(hub, 60, () => workMs)).sort((a, b) => a - b);
    // Not each: the first ones come right after its handshake, before which somebody else may have spoken.
    expect(gaps[gaps.length >> 1]).toBeLessThan(3 * workMs);
  });

  it("does not wait long where the process has stood still at its message", async () => {
    await using hub = await startHub({ contracts, limits: noRates });
    await using _other = await chatter(hub);
    const stoodMs = 1_000;
    expect(sumOf(await gapsOf(hub, 2, (place) => (place === 0 ? stoodMs : 0)))).toBeLessThan(3 * stoodMs);
  });
});

it("WebSocket pings are answered, but not while the answers are not read", async () => {
  await using hub = await startHub({ contracts, limits: { ...noRates, unsentBytes: 10_000 } });
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

it("of one connection only so much is read before others have their turns, however much is there", async () => {
  await using hub = await startHub({ contracts });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  const tcp = tcpOf(hub, "flooder");
  let [before, most] = [tcp.bytesRead, 0];
  const look = () => {
    most = Math.max(most, tcp.bytesRead - before);
    before = tcp.bytesRead;
    if (!tcp.destroyed) setImmediate(look);
  };
  look();
  const count = 40;
  for (let n = 0; n < count; n += 1)
    raw.send(`42/house,${n}["said",{"id":7,"filling":"${filling.repeat(1_000)}"}]`);
  await raw.until((frame) => frame.startsWith(`43/house,${count - 1}[`));
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(250_000);
});

it("what came in one read is dealt with bit by bit, so that others have their turns in between", async () => {
  await using hub = await startHub({ contracts });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  let [inTurn, most, total] = [0, 0, 0];
  hubEndOf(hub, "flooder").onAny(() => {
    if (inTurn === 0) setImmediate(() => (inTurn = 0));
    inTurn += 1;
    total += 1;
    most = Math.max(most, inTurn);
  });
  const count = 1_000;
  const sayTogether = async (from: number, until: number) => {
    const numbers = Array.from({ length: until - from }, (_, place) => from + place);
    raw.sendTogether(numbers.map((n) => `42/house,${n}["said",{"id":7}]`));
    await raw.until((frame) => frame.startsWith(`43/house,${until - 1}[`));
  };
  await sayTogether(0, count);
  expect(total).toBe(count);
  expect(most).toBeLessThan(100);
  const answered = raw.frames.filter((frame) => frame.startsWith("43/house,"));
  expect(answered.map((frame) => Number.parseInt(frame.slice(9), 10))).toEqual(
    Array.from({ length: count }, (_, n) => n),
  );
  // A little of it is dealt with at once, also after that.
  most = 0;
  await sayTogether(count, count + 15);
  expect(most).toBeGreaterThan(10);
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
  await using hub = await startGated({ ...noRates, inFlightBytes: 20_000 });
  await using raw = await new RawClient(hub.url).join("/house", flooder);
  let taken = 0;
  hubEndOf(hub as unknown as TestHub, "flooder").onAny(() => (taken += 1));
  const count = 4_000;
  for (let n = 0; n < count; n += 1) raw.send(said(n, filling.repeat(50)));
  await stopped(hub, raw);
  // What is over the bound, and what lay in the reads before that was seen.
  expect(taken).toBeGreaterThan(3);
  expect(taken).toBeLessThan(60);
  hub.open();
  await raw.until((frame) => frame.startsWith(`43/house,${count - 1}[`));
  const answered = raw.frames.filter((frame) => frame.startsWith("43/house,"));
  expect(answered.map((frame) => Number.parseInt(frame.slice(9), 10))).toEqual(
    Array.from({ length: count }, (_, n) => n),
  );
});

it("what comes of claims is bounded like what is said without one, and the connection is read again afterwards", async () => {
  await using hub = await startHub({ contracts, limits: { inFlightBytes: 1_000 } });
  await using worker = await connect(hub, { ...flooder });
  const claimed = worker.next("hub:claims");
  await worker.socket.emitWithAck("hub:work", { group: "g", events: ["said"], capacity: 1 });
  await worker.say("said", { id: "work" });
  const { claims } = (await claimed) as { claims: { offset: number; token: number }[] };
  const append = hub.log.append.bind(hub.log);
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  hub.log.append = async (...batch) => {
    await gate;
    return append(...batch);
  };
  const events = [["mood", { who: "worker", mood: filling.repeat(20) }]];
  const settles = claims.map(({ offset, token }) => ({ offset, token, outcome: "done", events }));
  const settled = worker.socket.emitWithAck("hub:settle", { group: "g", settles });
  while (!socketOf(hub, "flooder").isPaused) await turn();
  open();
  expect(await settled).toMatchObject({ ok: true, replies: [{ ok: true }] });
  expect(await worker.say("said", { id: "a" })).toMatchObject({ ok: true });
});

const times = Array.from({ length: 10 });
const notes = Array.from({ length: 250 }, (_, n) => ({ id: `${n}` }));

it.each<[string, (client: PlainClient) => Promise<Accepted[]>]>([
  [
    "in batches",
    async ({ socket }) => {
      const batch = notes.map((note) => ["said", note]);
      const replies = await Promise.all(times.map(() => socket.emitWithAck("hub:emit", batch)));
      return replies.flatMap(({ receipts }) => receipts);
    },
  ],
  [
    "one by one",
    (client) =>
      Promise.all(
        times.flatMap(() => notes).map((note) => client.say("said", note) as unknown as Promise<Accepted>),
      ),
  ],
])(
  "nobody's event waits behind all that another connection has said %s: each has its share in a commit",
  async (_how, sayMuch) => {
    await using hub = await startGated({ inFlightBytes: 100_000_000 });
    await using much = await connect(hub, { ...host, protocol: 1 });
    await using little = await connect(hub, { ...guest, protocol: 1 });
    const all = sayMuch(much);
    // What is not kept is answered at once: the hub has all that was said before it.
    await much.say("waved", { id: "marker" });
    const one = little.say("said", { id: "one" }) as unknown as Promise<Accepted>;
    await little.say("waved", { id: "marker" });
    hub.open();
    expect((await one).offset).toBeLessThan(400);
    const offsets = (await all).map(({ offset }) => offset as number);
    expect(offsets).toHaveLength(2_500);
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    expect(Math.max(...hub.commits)).toBeLessThanOrEqual(129);
  },
);

it.each([
  ["long", "x".repeat(4_000)],
  ["short, of characters that take three bytes each", "字".repeat(1_300)],
])("a share of a commit is of bytes, too: six of those that are %s", async (_how, text) => {
  await using hub = await startGated({ inFlightBytes: 100_000_000 });
  await using much = await connect(hub, { ...host, protocol: 1 });
  await using little = await connect(hub, { ...guest, protocol: 1 });
  const count = 50;
  const batch = Array.from({ length: count }, () => ["said", { id: text }]);
  const all = much.socket.emitWithAck("hub:emit", batch);
  await much.say("waved", { id: "marker" });
  const one = little.say("said", { id: "one" }) as unknown as Promise<Accepted>;
  await little.say("waved", { id: "marker" });
  hub.open();
  expect((await one).offset).toBeLessThan(14);
  expect((await all).receipts.filter(({ ok }: { ok: boolean }) => ok)).toHaveLength(count);
  expect(Math.max(...hub.commits)).toBeLessThanOrEqual(7);
});

it("nothing that a connection says overtakes what it has said before, also where its share is full in between", async () => {
  await using hub = await startGated({});
  await using client = await connect(hub, { ...host, protocol: 1 });
  const say = (count: number) =>
    client.socket.emitWithAck(
      "hub:emit",
      Array.from({ length: count }, (_, n) => ["said", { id: `${n}` }]),
    );
  const first = say(1);
  await client.say("waved", { id: "marker" }); // the log is at it
  const replies = [first, ...[60, 10, 2].map(say)];
  await client.say("waved", { id: "marker" });
  hub.open();
  const offsets = (await Promise.all(replies)).flatMap(({ receipts }) =>
    receipts.map(({ offset }: { offset: number }) => offset),
  );
  expect(offsets).toEqual(Array.from({ length: 73 }, (_, n) => n + 1));
});

it("no commit has more events than the limit, however many wait", async () => {
  await using hub = await startGated({ commitEvents: 10 });
  await using client = await connect(hub, host);
  const first = client.say("said", { id: "first" });
  await client.say("waved", { id: "marker" }); // the log is at it
  const all = Promise.all([
    first,
    ...Array.from({ length: 50 }, (_, n) => client.say("said", { id: `${n}` })),
  ]);
  await client.say("waved", { id: "marker" });
  hub.open();
  await all;
  expect(hub.commits).toEqual([1, 10, 10, 10, 10, 10]);
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
    return { sid, post, poll: () => request(`&sid=${sid}`) };
  }

  const heartbeat = "3";

  it.each<[string, object, readonly string[]]>([
    // 150 messages at twice the rate of events, less what was there at once.
    [
      "messages",
      { eventsPerSecond: 100, eventsAtOnce: 10, debtEvents: 1 },
      [Array.from({ length: 150 }, (_, n) => said(n)).join("\x1e")],
    ],
    // Each counts as some messages.
    ["requests", { eventsPerSecond: 10, eventsAtOnce: 10 }, Array(3).fill(heartbeat)],
    ["bytes", { bytesPerSecond: 100_000, bytesAtOnce: 10_000 }, [said(1, filling.repeat(600))]],
  ])("has its messages taken in later when it brings too many %s", async (_what, limits, posts) => {
    await using hub = await startHub({ contracts, limits });
    const { post } = await join(hub);
    const beganMs = performance.now();
    for (const body of posts) await post(body);
    expect(await post(said("last"))).toBe("ok");
    expect(performance.now() - beganMs).toBeGreaterThan(400);
  });

  it("has what one request brings dealt with bit by bit and in order, and its next request waits for that", async () => {
    await using hub = await startHub({ contracts, limits: noRates });
    const { post } = await join(hub);
    let [inTurn, most] = [0, 0];
    const heard: string[] = [];
    hubEndOf(hub, "flooder").onAny((_event, { id }) => {
      if (inTurn === 0) setImmediate(() => setImmediate(() => (inTurn = 0)));
      inTurn += 1;
      most = Math.max(most, inTurn);
      heard.push(id);
    });
    const ids = Array.from({ length: 1_000 }, (_, n) => `${n}`);
    const posted = post(ids.map((id) => said(id, id)).join("\x1e")).then(() => heard.length);
    while (heard.length === 0) await turn();
    // A client waits for the answer before it says more; this one does not.
    await post(said(ids.length, "last"));
    expect(await posted).toBeGreaterThanOrEqual(ids.length);
    while (heard.length <= ids.length) await turn();
    expect(heard).toEqual([...ids, "last"]);
    expect(most).toBeLessThan(50);
  });

  it("has its next request taken in when the hub has had time for others", async () => {
    await using hub = await startHub({ contracts, limits: noRates });
    await using _other = await chatter(hub);
    const { post } = await join(hub);
    const workMs = 20;
    const begins: number[] = [];
    hubEndOf(hub, "flooder").onAny(() => {
      begins.push(performance.now());
      while (performance.now() - (begins.at(-1) as number) < workMs);
    });
    for (let n = 0; n < 5; n += 1) await post(said(n, filling.repeat(15)));
    expect((begins.at(-1) as number) - (begins[0] as number)).toBeGreaterThan(4 * (5 * workMs - 1));
  });

  it("is held back as well when it has changed to WebSocket", async () => {
    await using hub = await startHub({ contracts, limits: { bytesPerSecond: 10_000, bytesAtOnce: 10_000 } });
    await using client = await connect(hub, flooder, { transports: ["polling", "websocket"] });
    const { conn } = hubEndOf(hub, "flooder");
    while (conn.transport.name !== "websocket") await turn();
    client.socket.emit("said", { id: filling.repeat(600) });
    while (!socketOf(hub, "flooder").isPaused) await turn();
  });

  it("is cut off when it does not poll for the answers to what it says", async () => {
    await using hub = await startHub({ contracts, limits: { unsentBytes: 10_000 } });
    const { post } = await join(hub);
    const { conn } = hubEndOf(hub, "flooder");
    let posts = 0;
    for (; conn.readyState === "open"; posts += 1) {
      const before = unsentBytes(conn);
      await post(said(1));
      while (conn.readyState === "open" && unsentBytes(conn) <= before) await turn(); // its receipt is there
    }
    expect(posts).toBeLessThan(40); // the text of 100 receipts would be as much, but not what they take
  });

  it("hears meanwhile what it is answered", async () => {
    await using hub = await startHub({ contracts, limits: { bytesPerSecond: 100_000, bytesAtOnce: 10_000 } });
    const { post, poll } = await join(hub);
    await poll();
    await post(said(1, filling.repeat(600)));
    const order: string[] = [];
    const posted = post(heartbeat).then(() => order.push("posted"));
    const polled = poll().then(() => order.push("polled"));
    await Promise.all([posted, polled]);
    expect(order).toEqual(["polled", "posted"]);
  });

  it("goes on when it gives up a request that had to wait", async () => {
    await using hub = await startHub({ contracts, limits: { bytesPerSecond: 100_000, bytesAtOnce: 10_000 } });
    const { sid, post } = await join(hub);
    await post(said(1, filling.repeat(600)));
    const { port } = new URL(hub.url);
    const socket = createConnection(Number(port), "127.0.0.1");
    const query = `EIO=4&transport=polling&sid=${sid}`;
    socket.write(
      `POST /socket.io/?${query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n${heartbeat}`,
    );
    await fetch(hub.url, { headers: { connection: "close" } }); // the hub has read what came before
    socket.destroy();
    expect(await post(heartbeat)).toBe("ok");
    expect(await post(heartbeat)).toBe("ok");
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
