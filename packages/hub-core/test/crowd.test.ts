import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import { createConnection, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { WebSocket } from "ws";
import { createHub } from "../src/index.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { selfSigned } from "./certificate.ts";
import { PlainClient, RawClient } from "./clients.ts";
import { forgetfulLog } from "./forgetful-log.ts";
import { connect, contracts, host, house } from "./house.ts";
import { key, tokenOf } from "./manor.ts";

const start = (limits: object, options: object = {}) => startHub({ contracts, limits, ...options });
const behindProxy = { proxies: 1, keys: key };

const handshake = (hub: { readonly url: string }, transport: string) =>
  `${hub.url}/socket.io/?EIO=4&transport=${transport}`;

/** A handshake of long polling, and what the hub answers. */
async function poll(hub: { readonly url: string }, headers: Record<string, string> = {}, query = "") {
  const answer = await fetch(`${handshake(hub, "polling")}${query}`, {
    headers: { connection: "close", ...headers },
  });
  const { status } = answer;
  const text = await answer.text();
  if (status === 200) return { status, sid: JSON.parse(text.slice(1)).sid as string };
  return { status, retryAfter: answer.headers.get("retry-after"), body: JSON.parse(text) };
}

/** A WebSocket's handshake: the WebSocket, or what the hub answers. */
async function open(hub: { readonly url: string }, headers: Record<string, string> = {}, query = "") {
  const url = `${handshake(hub, "websocket").replace("http", "ws")}${query}`;
  const socket = new WebSocket(url, { headers });
  socket.on("error", () => undefined);
  const answered = new Promise<IncomingMessage | undefined>((resolve) => {
    socket.on("unexpected-response", (_request, response) => resolve(response));
    socket.on("open", () => resolve(undefined));
    socket.on("close", () => resolve(undefined));
  });
  const response = await answered;
  if (response === undefined) return { socket, isOpen: socket.readyState === WebSocket.OPEN };
  let text = "";
  for await (const chunk of response) text += chunk;
  const body = text.startsWith("{") ? JSON.parse(text) : text;
  return { socket, isOpen: false, status: response.statusCode, body };
}

const refused = (code: string, error: object = {}) => ({
  code: 4,
  message: code,
  error: { code, message: expect.any(String), retryable: true, ...error },
});

async function gone(...sockets: readonly WebSocket[]): Promise<void> {
  for (const socket of sockets) {
    if (socket.readyState === WebSocket.CLOSED) continue;
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.terminate();
    await closed;
  }
}

/** Resolves with what the server said before it closed the connection. */
async function ended(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.on("error", () => undefined);
  await once(socket, "close");
  return text;
}

const dial = async ({ url }: TestHub) => {
  const socket = createConnection(Number(new URL(url).port), "127.0.0.1");
  await once(socket, "connect");
  return socket;
};

const dialMany = (hub: TestHub) =>
  Promise.all(
    Array.from({ length: 150 }, async () => {
      const socket = await dial(hub);
      return { socket, closed: ended(socket) };
    }),
  );

it("whoever opens sockets without end is not served any more, nor anybody else kept out", async () => {
  await using hub = await start({ handshakesPerSecondPerAddress: 1, handshakesAtOncePerAddress: 10 });
  for (let opened = 0; opened < 60; opened += 1) (await dial(hub)).destroy();
  const late = await dial(hub);
  late.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  expect(await ended(late)).toBe("");
  const other = createConnection({ port: Number(new URL(hub.url).port), localAddress: "127.0.0.2" });
  other.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  expect(await ended(other)).toMatch(/^HTTP\/1.1 404 /);
});

describe("a hub with as many connections as it takes", () => {
  it("refuses more with a code that a client can read, goes on serving those it has, and takes another when one goes", async () => {
    await using hub = await start({ connections: 2 });
    await using first = await connect(hub, { ...host, events: [] });
    await using second = await connect(hub, { role: "guest", id: "g" });
    expect(await open(hub)).toMatchObject({ status: 503, body: refused("CONNECTIONS_TOO_MANY") });
    expect(await poll(hub)).toMatchObject({ status: 503, body: refused("CONNECTIONS_TOO_MANY") });
    for (const id of ["a", "b"]) expect(await first.say("said", { id })).toMatchObject({ ok: true });
    expect((await second.take(2)).map(({ data }) => data.id)).toEqual(["a", "b"]);

    await using waiting = new PlainClient(`${hub.url}/house`, { role: "guest", id: "later" });
    await new Promise<void>((resolve) => waiting.socket.io.once("error", () => resolve()));
    await second[Symbol.asyncDispose]();
    await waiting.connected(); // by itself
    await first.say("said", { id: "c" });
    expect((await waiting.take(1)).map(({ data }) => data.id)).toEqual(["c"]);
  });

  it("takes no more than that when they all come at once, by whatever transport", async () => {
    await using hub = await start({ connections: 5 });
    const sockets = Array.from({ length: 10 }, () => open(hub));
    const polls = Array.from({ length: 10 }, () => poll(hub));
    const opened = await Promise.all(sockets);
    const polled = await Promise.all(polls);
    const isIn = [...opened.map(({ isOpen }) => isOpen), ...polled.map(({ status }) => status === 200)];
    expect(isIn.filter(Boolean)).toHaveLength(5);
    await gone(...opened.map(({ socket }) => socket));
  });

  it("does not count a handshake that came to nothing", async () => {
    await using hub = await start({ connections: 1 });
    for (let time = 0; time < 3; time += 1) {
      expect((await poll(hub, { origin: "https://evil.example" })).status).toBe(403);
      expect(await open(hub, { origin: "https://evil.example" })).toMatchObject({ status: 403 });
      const { port } = new URL(hub.url);
      const half = createConnection(Number(port), "127.0.0.1");
      half.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n");
      half.destroy();
      await once(half, "close");
    }
    for (;;) {
      const { isOpen, socket } = await open(hub);
      await gone(socket);
      if (isOpen) break;
    }
  });
});

describe("connections from one address", () => {
  const from = (address: string) => ({ "x-forwarded-for": `203.0.113.1, ${address}` });

  it("are bounded by themselves; the address is the one that one's own proxy has seen", async () => {
    await using hub = await start({ connectionsPerAddress: 1 }, behindProxy);
    const one = await open(hub, from("198.51.100.1"));
    expect(one.isOpen).toBe(true);
    expect(await open(hub, from("198.51.100.1"))).toMatchObject({ status: 503 });
    expect(await poll(hub, from("198.51.100.1"))).toMatchObject({ body: refused("CONNECTIONS_TOO_MANY") });
    const other = await open(hub, from("198.51.100.2"));
    expect(other.isOpen).toBe(true);
    await gone(one.socket, other.socket);
  });

  it.each(["polling", "websocket"])(
    "are bounded also where they begin by %s with a name that is empty",
    async (transport) => {
      await using hub = await start({ connectionsPerAddress: 1 });
      const one = await open(hub);
      const headers = {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      };
      const status = await new Promise((resolve) => {
        const request = get(`${hub.url}/socket.io/?EIO=4&transport=${transport}&sid=`, {
          ...(transport === "websocket" && { headers }),
        });
        request.on("response", (response) => resolve(response.resume().statusCode));
        request.on("upgrade", (_response, socket) => resolve(socket.destroy()));
      });
      expect(status).toBe(503);
      await gone(one.socket);
    },
  );

  it("have one rate together until they have joined, and others theirs", async () => {
    const limits = { bytesPerSecondPerSatellite: 50, bytesAtOnce: 500 };
    await using hub = await start(limits, behindProxy);
    const dialFrom = (address: string) => new RawClient(hub.url, from(address));
    const join = async (client: RawClient, id: string) =>
      client.join("/house", { token: await tokenOf(`guest:${id}`, { contract: "house" }), events: [] });
    const say = (client: RawClient, time = 0) => client.send(`42/house,${time}["said",{"id":"a"}]`);
    await using before = await join(dialFrom("198.51.100.1"), "before");
    await using busy = dialFrom("198.51.100.1");
    await busy.until((frame) => frame.startsWith("0"));
    busy.sendTogether([`3${"x".repeat(900)}`, "40/elsewhere,"]);
    await busy.until((frame) => frame.startsWith("44/elsewhere,")); // it has used up more than there was
    await using held = await join(dialFrom("198.51.100.1"), "held");
    say(held);
    await using other = await join(dialFrom("198.51.100.2"), "other");
    for (let time = 1; time <= 5; time += 1) {
      for (const client of [other, before]) {
        say(client, time);
        await client.until((frame) => frame.startsWith(`43/house,${time}[`));
      }
    }
    expect(held.frames.filter((frame) => frame.startsWith("43"))).toEqual([]);
  });

  it("are all the connection's other end's, whatever they say, where there is no proxy", async () => {
    await using hub = await start({ connectionsPerAddress: 1 });
    const one = await open(hub, from("198.51.100.1"));
    expect(await open(hub, from("198.51.100.2"))).toMatchObject({ status: 503 });
    await gone(one.socket);
  });

  it("may begin only so fast, and are told when the next one may", async () => {
    await using hub = await start(
      { handshakesPerSecondPerAddress: 1, handshakesAtOncePerAddress: 3 },
      behindProxy,
    );
    const all = [];
    for (let n = 0; n < 3; n += 1) all.push(await open(hub, from("198.51.100.1")));
    expect(all.map(({ isOpen }) => isOpen)).toEqual([true, true, true]);
    const answer = await poll(hub, from("198.51.100.1"));
    expect(answer).toMatchObject({
      status: 429,
      retryAfter: "1",
      body: refused("HANDSHAKES_TOO_MANY", { retryAfterMs: expect.any(Number) }),
    });
    const other = await open(hub, from("198.51.100.2"));
    expect(other.isOpen).toBe(true);
    await gone(...all.map(({ socket }) => socket), other.socket);
  });
});

describe("connections of one satellite", () => {
  /** `in`, or why not. */
  const outcomeOf = async (client: PlainClient): Promise<string> => {
    const connected = new Promise<string>((resolve) => client.socket.once("connect", () => resolve("in")));
    return Promise.race([connected, client.refused().then(({ code }) => code)]);
  };

  it("are bounded by themselves, also when they come at once; when one goes another may come", async () => {
    await using hub = await start({ connectionsPerSatellite: 3 });
    const clients = Array.from({ length: 8 }, () => new PlainClient(`${hub.url}/house`, host));
    const outcomes = await Promise.all(clients.map(outcomeOf));
    expect(outcomes.toSorted()).toEqual([...Array(5).fill("CONNECTIONS_TOO_MANY"), ...Array(3).fill("in")]);
    await using _other = await connect(hub, { ...host, id: "other" });
    const [first, last] = [
      clients[outcomes.indexOf("in")],
      clients[outcomes.indexOf("CONNECTIONS_TOO_MANY")],
    ];
    first?.socket.disconnect();
    while (last?.socket.connect() && (await outcomeOf(last)) !== "in");
    for (const client of clients) await client[Symbol.asyncDispose]();
  });

  it("are not more when one of them leaves the contract and joins it again", async () => {
    await using hub = await start({ connectionsPerSatellite: 1 });
    await using client = new RawClient(hub.url);
    const come = (start: string, count: number) =>
      client.until(() => client.frames.filter((frame) => frame.startsWith(start)).length === count);
    await come("0", 1);
    for (let time = 1; time <= 3; time += 1) {
      client.send(`40/house,${JSON.stringify({ ...host, events: [] })}`);
      await come("40/house,", time);
      client.send("41/house,");
      client.send("40/elsewhere,"); // when that is refused, it has left
      await come("44/elsewhere,", time);
    }
  });

  it("are not counted when they are gone before it is known whose they are", async () => {
    let read: (records: Map<string, string>) => void = () => undefined;
    const log = forgetfulLog();
    log.records = () =>
      new Promise((resolve) => {
        read = resolve;
      });
    const limits = { connectionsPerSatellite: 1 };
    const hub = createHub({ contracts, keys: key, log, limits });
    const url = await hub.listen({ port: 0 });
    const token = await tokenOf("host:h", { contract: "house" });
    await using client = new RawClient(url);
    await client.until((frame) => frame.startsWith("0"));
    client.send(`40/house,${JSON.stringify({ token })}`);
    client.send("40/elsewhere,");
    await client.until((frame) => frame.startsWith("44/elsewhere,"));
    client.socket.terminate();
    while (hub.namespace(house).server.engine.clientsCount > 0) await turn();
    read(new Map());
    await using _other = await connect({ url }, { token });
    await hub.close();
  });
});

describe("handshakes", () => {
  it("may come only so fast in all", async () => {
    await using hub = await start({ handshakesPerSecond: 1, handshakesAtOnce: 3 });
    const all = await Promise.all(Array.from({ length: 6 }, () => open(hub)));
    expect(all.filter(({ isOpen }) => isOpen).length).toBeLessThan(5);
    expect(all.find(({ isOpen }) => !isOpen)).toMatchObject({
      status: 429,
      body: refused("HANDSHAKES_TOO_MANY"),
    });
    await gone(...all.map(({ socket }) => socket));
  });

  it("that come at once are let in one after the other, so that others are served between them", async () => {
    await using hub = await start({ handshakesPerSecond: 100 });
    const count = 20;
    const beganMs = performance.now();
    const answers = await Promise.all(Array.from({ length: count }, () => poll(hub)));
    expect(answers.every(({ sid }) => sid !== undefined)).toBe(true);
    // 5 ms apart; a timer may be a millisecond early.
    expect(performance.now() - beganMs).toBeGreaterThan((count - 1) * 4);
  });

  it("are counted, too, when a satellite that polls changes to WebSocket, or names a session that is none", async () => {
    await using hub = await start({ handshakesPerSecond: 1, handshakesAtOnce: 2 });
    const { sid } = await poll(hub);
    const upgrades = [await open(hub, {}, `&sid=${sid}`), await open(hub, {}, `&sid=${sid}`)];
    expect(upgrades.map(({ status }) => status)).toEqual([undefined, 429]);
    expect((await poll(hub, {}, "&sid=none")).status).toBe(429);
    await gone(...upgrades.map(({ socket }) => socket));
  });

  it("that go on and on are cut off unread, and those that may come in still do", async () => {
    await using hub = await start({ handshakesPerSecondPerAddress: 2, handshakesAtOncePerAddress: 2 });
    await using inside = await connect(hub, host);
    const outcomes = new Set<string>();
    let entered = 0;
    while (entered < 3) {
      const beganMs = performance.now();
      const { isOpen, status, socket } = await open(hub);
      outcomes.add(isOpen ? "open" : String(status ?? "cut off"));
      if (isOpen) entered += 1;
      // Not at once: else it would come again all the sooner.
      else if (status === undefined) expect(performance.now() - beganMs).toBeGreaterThan(450);
      await gone(socket);
    }
    expect(outcomes).toEqual(new Set(["open", "429", "cut off"]));
    expect(await inside.say("said", { id: "a" })).toMatchObject({ ok: true });
  });
});

describe("a connection that never says who it is ends in time when it", () => {
  const limits = { connectTimeoutMs: 100, closeMs: 100 };

  it("is a WebSocket that joins only what is no contract", async () => {
    await using hub = await start(limits);
    await using client = new RawClient(hub.url);
    await client.until((frame) => frame.startsWith("0"));
    client.send("40/elsewhere,");
    await client.until((frame) => frame.startsWith("44/elsewhere,"));
    await client.closed();
  });

  it("polls, and joins nothing, or only what is no contract", async () => {
    await using hub = await start(limits);
    for (const body of [undefined, "40/elsewhere,"]) {
      const { sid } = await poll(hub);
      if (body !== undefined) {
        await fetch(`${handshake(hub, "polling")}&sid=${sid}`, { method: "POST", body });
      }
      for (;;) {
        const { status } = await poll(hub, {}, `&sid=${sid}`).catch(() => ({ status: 200 }));
        if (status === 400) break; // such a session is not there any more
      }
    }
  });

  it("says nothing at all", async () => {
    await using hub = await start(limits);
    await ended(await dial(hub));
  });

  it("begins no TLS handshake", async () => {
    await using hub = await start(limits, { tls: selfSigned() });
    await ended(await dial(hub));
  });

  it("says its request letter by letter", async () => {
    await using hub = await start(limits);
    const socket = await dial(hub);
    const closed = ended(socket);
    const timer = setInterval(() => socket.write("x"), 5);
    socket.write("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nX: ");
    expect(await closed).toMatch(/^HTTP\/1.1 408 /);
    clearInterval(timer);
  });

  it("says the rest of its request letter by letter", async () => {
    await using hub = await start({ ...limits, requestTimeoutMs: 200 });
    const { sid } = await poll(hub);
    const join = `40/house,${JSON.stringify(host)}`;
    await fetch(`${handshake(hub, "polling")}&sid=${sid}`, { method: "POST", body: join });
    const socket = await dial(hub);
    const closed = ended(socket);
    socket.write(
      `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n`,
    );
    const timer = setInterval(() => socket.write("4"), 5);
    await closed;
    clearInterval(timer);
  });

  it("is one of more sockets than a hub's connections need", async () => {
    await using hub = await start({ connections: 1, connectTimeoutMs: 60_000 });
    const sockets = await dialMany(hub);
    await Promise.race(sockets.map(({ closed }) => closed));
    while (sockets.filter(({ socket }) => !socket.closed).length > 102) await turn();
    for (const { socket } of sockets) socket.destroy();
    await Promise.all(sockets.map(({ closed }) => closed));
  });
});

describe("sockets from one address", () => {
  const oneEach = { connectionsPerAddress: 1, connectTimeoutMs: 60_000 };

  it("are bounded, and when they are gone others may come", async () => {
    await using hub = await start(oneEach);
    const sockets = await dialMany(hub);
    while (sockets.filter(({ socket }) => !socket.closed).length > 102) await turn();
    for (const { socket } of sockets) socket.destroy();
    await Promise.all(sockets.map(({ closed }) => closed));
    for (;;) {
      const { isOpen, socket } = await open(hub);
      await gone(socket);
      if (isOpen) break;
    }
  });

  it("are not bounded where all come from a proxy", async () => {
    await using hub = await start(oneEach, behindProxy);
    const sockets = await dialMany(hub);
    const { socket: last, closed } = sockets.at(-1) as (typeof sockets)[number];
    last.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(await closed).toMatch(/^HTTP\/1.1 404 .*connection: close/s);
    expect(sockets.filter(({ socket }) => socket.closed)).toHaveLength(1);
    for (const { socket } of sockets) socket.destroy();
    await Promise.all(sockets.map(({ closed }) => closed));
  });
});

it("a client that is gone while it is refused harms nobody", async () => {
  const server = createServer();
  const hub = createHub({ contracts, log: forgetfulLog(), server, limits: { connections: 1 } });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const client = await connect({ url }, host);
  server.prependListener("upgrade", (_request, socket: Socket) => {
    const write = socket.write.bind(socket);
    socket.write = (answer: string) => {
      write(answer);
      socket.destroy(new Error("gone"));
      return false;
    };
  });
  expect(await open({ url })).toMatchObject({ isOpen: false });
  expect(await client.say("said", { id: "a" })).toMatchObject({ ok: true });
  await client[Symbol.asyncDispose]();
  await hub.close();
  await new Promise((resolve) => server.close(resolve));
});

it("on a server that is not its own a hub refuses what it does not take, and leaves the rest alone", async () => {
  const server = createServer((_request, response) =>
    response.setHeader("connection", "close").end("a page"),
  );
  const limits = { connections: 1, handshakesPerSecond: 1, handshakesAtOnce: 1 };
  const hub = createHub({ contracts, log: forgetfulLog(), server, limits });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const client = await connect({ url }, host);
  for (let n = 0; n < 5; n += 1) expect((await poll({ url })).status).toBe(429);
  expect(await (await fetch(url)).text()).toBe("a page");
  await client[Symbol.asyncDispose]();
  await hub.close();
  await new Promise((resolve) => server.close(resolve));
});
