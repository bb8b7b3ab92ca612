import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createConnection, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { createHub, defaultLimits } from "../src/index.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { RawClient } from "./clients.ts";
import { forgetfulLog } from "./forgetful-log.ts";
import { connect, contracts, host, house } from "./house.ts";

const polling = "/socket.io/?EIO=4&transport=polling";
const head = (line: string, ...headers: string[]) =>
  [`${line} HTTP/1.1`, "Host: 127.0.0.1", ...headers, "", ""].join("\r\n");
/** Of a body that never ends. */
const endless = "Content-Length: 99999999999";
const fromAPage = (hub: TestHub) => `Origin: ${hub.url}`;

const upgrade = (query = "") =>
  head(
    `GET /socket.io/?EIO=4&transport=websocket${query}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  );

/** As a client masks it, with a mask of zeroes. */
const frame = (opcode: number, text = "") =>
  Buffer.from([0x80 | opcode, 0x80 | text.length, 0, 0, 0, 0, ...Buffer.from(text)]);

/** A connection that goes on when the hub has said goodbye. */
async function dial({ url }: { readonly url: string }): Promise<Socket> {
  const socket = createConnection({
    port: Number(new URL(url).port),
    host: "127.0.0.1",
    allowHalfOpen: true,
  });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

async function sessionOf({ url }: TestHub): Promise<string> {
  const answer = await fetch(`${url}${polling}`, { headers: { connection: "close" } });
  return JSON.parse((await answer.text()).slice(1)).sid;
}

/** More than the system has room for on both sides. Bytes. */
const muchBytes = 50_000_000;

/** Sends much, again and again, until the hub has ended the connection, or taken all of it. */
async function takesAll(socket: Socket, piece: Buffer): Promise<boolean> {
  const before = socket.bytesWritten;
  const closed = new Promise<false>((resolve) => socket.once("close", () => resolve(false)));
  socket.resume();
  while (!socket.destroyed && socket.bytesWritten - before < muchBytes) {
    if (socket.write(piece)) continue;
    const drained = new Promise<true>((resolve) => socket.once("drain", () => resolve(true)));
    if (!(await Promise.race([drained, closed]))) break;
  }
  const isTaken = !socket.destroyed;
  socket.destroy();
  return isTaken;
}

const junk = Buffer.alloc(65_536, "a");

/** Of all that is sent to the hub from now on, how much it has read. Bytes. */
function readFrom(hub: TestHub): () => number {
  const connections: Socket[] = [];
  const { httpServer } = hub.hub.namespace(house).server as unknown as { readonly httpServer: Server };
  httpServer.on("connection", (connection: Socket) => void connections.push(connection));
  return () => connections.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
}

/** What the system may have handed over at once, and some more. Bytes. */
const slackBytes = 400_000;
const pings = Buffer.concat(Array<Buffer>(15_000).fill(frame(9, "a".repeat(60))));

it.each<[string, Buffer, Buffer?]>([
  ["has said goodbye", frame(8)],
  ["has said more than it may, and then goodbye", Buffer.concat([pings, frame(8)]), pings],
  ["has said more than it may, and then a packet that is none", Buffer.concat([pings, frame(1, "9")]), pings],
  ["has sent a frame that is none", frame(11)],
  ["has announced a message that is too large", Buffer.from("81ff000000010000000000000000", "hex")],
  ["has sent a packet that is none", frame(1, "9")],
  ["has said something before it joined", frame(1, '42/house,["said"]')],
])(
  "a WebSocket that %s is not read to its end, which may never come",
  async (_what, last, goesOnWith = junk) => {
    await using hub = await startHub({ contracts });
    const read = readFrom(hub);
    const socket = await dial(hub);
    socket.write(upgrade());
    await once(socket, "data");
    socket.write(last);
    expect(await takesAll(socket, goesOnWith)).toBe(false);
    expect(read()).toBeLessThan(last.length + slackBytes);
  },
);

it.each([1, 10])(
  "a message that is too large, %i times, is told its end all the same: 1009",
  async (times) => {
    await using hub = await startHub({ contracts, limits: { closeMs: 200 } });
    await using raw = await new RawClient(hub.url).join("/house", host);
    const closed = once(raw.socket, "close");
    raw.socket.send(`4${"x".repeat(times * defaultLimits.messageBytes)}`);
    expect((await closed)[0]).toBe(1_009);
  },
);

it("a WebSocket that is to take over from polling, and says other things first, is not read to its end", async () => {
  await using hub = await startHub({ contracts });
  const read = readFrom(hub);
  const socket = await dial(hub);
  socket.write(upgrade(`&sid=${await sessionOf(hub)}`));
  await once(socket, "data");
  expect(await takesAll(socket, pings)).toBe(false);
  expect(read()).toBeLessThan(slackBytes);
});

it.each<[string, (hub: TestHub) => Promise<string> | string]>([
  ["a handshake", () => head(`GET ${polling}`, endless)],
  ["a handshake that is refused", () => head("POST /socket.io/?EIO=3&transport=polling", endless)],
  ["a preflight", (hub) => head(`OPTIONS ${polling}`, fromAPage(hub), endless)],
  [
    "messages, and more of them than one request may bring",
    async (hub) => head(`POST ${polling}&sid=${await sessionOf(hub)}`, endless),
  ],
  ["something that is not the hub's", () => head("POST /", endless)],
])("a request for %s that has its answer is not read to its end", async (_what, requestOf) => {
  await using hub = await startHub({ contracts });
  const socket = await dial(hub);
  socket.write(await requestOf(hub));
  expect(await takesAll(socket, junk)).toBe(false);
});

it("a request for what is the application's, on whose server the hub is, is its own affair", async () => {
  const server = createServer((_request, response) => response.end("a page"));
  const hub = createHub({ contracts, log: forgetfulLog(), server });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const socket = await dial({ url });
  socket.write(head("POST /", endless));
  expect(await takesAll(socket, junk)).toBe(true);
  await hub.close();
  server.close();
});

/** How often the hub answers when it is asked the same so many times in one breath, until it ends the connection. */
async function answersTo(hub: TestHub, request: string, times: number): Promise<number> {
  const socket = await dial(hub);
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.write(request.repeat(times));
  await once(socket, "end");
  socket.destroy();
  return text.split("HTTP/1.1 ").length - 1;
}

it.each<[string, (hub: TestHub) => string]>([
  ["preflights", (hub) => head(`OPTIONS ${polling}`, fromAPage(hub))],
  ["requests for a connection that is none", () => head(`GET ${polling}&sid=x`)],
  ["requests that expect what there is not", () => head("GET /", "Expect: x")],
  ["the same from another page", () => head(`GET ${polling}&sid=x`, "Origin: https://evil.example")],
])("%s count as handshakes", async (_what, requestOf) => {
  await using hub = await startHub({
    contracts,
    limits: { handshakesPerSecondPerAddress: 1, handshakesAtOncePerAddress: 20 },
  });
  expect(await answersTo(hub, requestOf(hub), 1_000)).toBeLessThan(30);
});

it("whoever asks for what is not the hub's, again and again, is not answered any more", async () => {
  await using hub = await startHub({
    contracts,
    limits: { handshakesPerSecondPerAddress: 1, handshakesAtOncePerAddress: 10 },
  });
  const answers: number[] = [];
  while (answers.at(-1) !== 0) answers.push(await answersTo(hub, head("GET /"), 1));
  // So many are let in, and as many are told that they are not.
  expect(answers.length).toBeGreaterThan(20);
  expect(answers.length).toBeLessThan(40);
});

const few = { eventsPerSecond: 10, eventsAtOnce: 10 };

it("polls for a connection that has a WebSocket count as its messages", async () => {
  await using hub = await startHub({ contracts, limits: few });
  await using raw = new RawClient(hub.url);
  const { sid } = JSON.parse((await raw.until((text) => text.startsWith("0"))).slice(1));
  expect(await timeOfRefusals(hub, 400, `${polling}&sid=${sid}`)).toBeGreaterThan(400);
});

it.each([
  ["by another transport", 400, "/socket.io/?EIO=4&transport=websocket", {}],
  ["in another version", 400, "/socket.io/?EIO=3&transport=polling", {}],
  ["from another page", 403, polling, { origin: "https://evil.example" }],
])("polls %s than the connection's count as its messages", async (_what, status, path, headers) => {
  await using hub = await startHub({ contracts, limits: few });
  const sid = await sessionOf(hub);
  expect(await timeOfRefusals(hub, status, `${path}&sid=${sid}`, headers)).toBeGreaterThan(400);
});

/** Of four requests, one after the other, each answered with that status. Milliseconds. */
async function timeOfRefusals(hub: TestHub, status: number, path: string, headers = {}): Promise<number> {
  const beganMs = performance.now();
  for (let count = 0; count < 4; count += 1) {
    const answer = await fetch(`${hub.url}${path}`, { headers });
    expect(answer.status).toBe(status);
  }
  return performance.now() - beganMs;
}

it("a message in more frames than it may have ends the connection", async () => {
  await using hub = await startHub({ contracts, limits: { messageFragments: 5 } });
  await using raw = new RawClient(hub.url);
  await raw.until((text) => text.startsWith("0"));
  const closed = once(raw.socket, "close");
  const sayIn = (frames: number) => {
    raw.socket.send("3", { fin: false });
    for (let count = 2; count <= frames; count += 1) raw.socket.send("x", { fin: count === frames });
  };
  sayIn(5);
  await raw.join("/house", host);
  sayIn(6);
  expect((await closed)[0]).toBe(1_008);
});

it("a frame that comes in more reads than it may ends the connection", async () => {
  await using hub = await startHub({ contracts, limits: { messageReads: 5 } });
  const read = readFrom(hub);
  const socket = await dial(hub);
  const ended = once(socket, "end");
  socket.setNoDelay().resume().write(upgrade());
  await once(socket, "data");
  socket.write(frame(1, "x".repeat(100)).subarray(0, 6));
  let isOver = false;
  void ended.then(() => (isOver = true));
  let pieces = 0;
  for (; !isOver && pieces < 90; pieces += 1) {
    const before = read();
    socket.write("x");
    while (!isOver && read() === before) await turn();
  }
  expect(pieces).toBeLessThan(10);
  socket.destroy();
});

it("a WebSocket that has not joined in time, and does not say goodbye, is cut off", async () => {
  await using hub = await startHub({ contracts, limits: { connectTimeoutMs: 100, closeMs: 100 } });
  const socket = await dial(hub);
  socket.write(upgrade());
  const beganMs = performance.now();
  socket.resume();
  await once(socket, "end");
  expect(performance.now() - beganMs).toBeLessThan(10_000);
  socket.destroy();
});

it("a preflight is answered, also for a connection that is there", async () => {
  await using hub = await startHub({ contracts });
  await using _client = await connect(hub, host);
  for (const query of ["", `&sid=${await sessionOf(hub)}`]) {
    const answer = await fetch(`${hub.url}${polling}${query}`, {
      method: "OPTIONS",
      headers: { origin: hub.url, "access-control-request-method": "POST" },
    });
    expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([204, hub.url]);
  }
});
