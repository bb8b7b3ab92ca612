import { createConnection } from "node:net";
import { startHub, type TestHub } from "../src/testing.ts";
import { PlainClient, RawClient, refusal } from "./clients.ts";
import { connect, contracts, host, house } from "./house.ts";

let hub: TestHub;
let bystander: PlainClient;

beforeEach(async () => {
  hub = await startHub({ contracts, limits: { eventBytes: 1_000, messageBytes: 100_000 } });
  bystander = await connect(hub, { role: "guest", id: "bystander" });
});

/** Whatever was sent, somebody else's event still goes to disk and comes back, and nothing else was heard. */
afterEach(async () => {
  expect(await bystander.say("said", { id: "still here" })).toMatchObject({ ok: true });
  expect((await bystander.take(1)).map(({ data }) => data.id)).toEqual(["still here"]);
  await bystander[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const nested = (levels: number) => JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`);

describe("an event is refused with a code when", () => {
  it.each<[string, string, unknown[], string]>([
    ["its data is missing", "said", [], "DATA_INVALID"],
    ["its data is null", "said", [null], "DATA_INVALID"],
    ["its data is a list", "said", [[]], "DATA_INVALID"],
    ["its data is text", "said", ["hello"], "DATA_INVALID"],
    ["a property is missing", "said", [{}], "DATA_INVALID"],
    ["a property has the wrong type", "said", [{ id: 7 }], "DATA_INVALID"],
    ["a property is unknown", "said", [{ id: "a", colour: "red" }], "DATA_INVALID"],
    ["it is over the limit", "said", [{ id: "a".repeat(1_001) }], "EVENT_TOO_LARGE"],
    [
      "its text is short, but its bytes are over the limit",
      "said",
      [{ id: "€".repeat(400) }],
      "EVENT_TOO_LARGE",
    ],
    ["it is nested deeply", "free", [{ value: nested(33) }], "DATA_TOO_DEEP"],
    [
      "a property is called __proto__",
      "said",
      [JSON.parse('{"id":"a","__proto__":{"x":1}}')],
      "KEY_RESERVED",
    ],
    ["a property is called constructor", "free", [{ value: { deep: { constructor: 1 } } }], "KEY_RESERVED"],
    ["a property is called prototype", "free", [{ value: [{ prototype: 1 }] }], "KEY_RESERVED"],
    ["the contract does not know it", "shouted", [{ id: "a" }], "UNKNOWN_EVENT"],
    ["it is called __proto__", "__proto__", [{ id: "a" }], "UNKNOWN_EVENT"],
    ["it is called constructor", "constructor", [{ id: "a" }], "UNKNOWN_EVENT"],
    ["its name is a number", 7 as unknown as string, [{ id: "a" }], "UNKNOWN_EVENT"],
    ["it is called like a message of the hub's", "hub:events", [[]], "UNKNOWN_EVENT"],
    ["its id is empty", "said", [{ id: "a" }, { id: "" }], "ID_INVALID"],
    ["its id is a number", "said", [{ id: "a" }, { id: 7 }], "ID_INVALID"],
    ["its id is too long", "said", [{ id: "a" }, { id: "x".repeat(129) }], "ID_INVALID"],
    ["its id has spaces", "said", [{ id: "a" }, { id: "a b" }], "ID_INVALID"],
    ["its options are null", "said", [{ id: "a" }, null], "MESSAGE_INVALID"],
    ["its options are a list", "said", [{ id: "a" }, []], "MESSAGE_INVALID"],
    ["it has an option that nobody knows", "said", [{ id: "a" }, { ttl: 1 }], "MESSAGE_INVALID"],
    [
      "it has an ack function where its options belong",
      "said",
      [{ id: "a" }, () => undefined],
      "MESSAGE_INVALID",
    ],
    ["it has more arguments than there are", "said", [{ id: "a" }, { id: "1" }, 3], "MESSAGE_INVALID"],
  ])("%s", async (_when, event, args, code) => {
    await using client = await connect(hub, host);
    expect(await client.say(event, ...args)).toEqual(refusal(code));
    expect(hub.log.head).toBe(0);
  });

  it("its role may not say it, or only where a room of its own is concerned", async () => {
    await using guest = await connect(hub, { role: "guest", id: "g" });
    expect(await guest.say("free", { value: 1 })).toEqual(refusal("FORBIDDEN"));
    expect(await guest.say("whispered", { id: "a", guest: "other" })).toEqual(refusal("FORBIDDEN"));
    expect(await guest.say("whispered", { id: "a" })).toEqual(refusal("FORBIDDEN"));
    expect(hub.log.head).toBe(0);
  });

  it("it is nested so deeply that a recursion would overflow", async () => {
    await using client = await new RawClient(hub.url).join("/house", host);
    client.send(`42/house,5["free",{"value":${"[".repeat(40_000)}${"]".repeat(40_000)}}]`);
    await client.until((frame) => frame.startsWith('43/house,5[{"ok":false,"error":{"code":"DATA_TOO_DEEP"'));
  });

  it("it fails, naming each place in the data", async () => {
    await using client = await connect(hub, host);
    expect(await client.say("mood", { who: 7 })).toEqual({
      ok: false,
      error: {
        code: "DATA_INVALID",
        message: expect.any(String),
        retryable: false,
        issues: [
          { path: "who", message: expect.stringContaining("string") },
          { path: "mood", message: expect.stringContaining("string") },
        ],
      },
    });
  });
});

describe("a message is refused with a code when", () => {
  it.each<[string, string, unknown[], string]>([
    ["it holds ten thousand events", "hub:emit", [Array(10_000).fill(["said"])], "BATCH_TOO_LARGE"],
    ["it holds no list", "hub:emit", [{ said: 1 }], "MESSAGE_INVALID"],
    ["it holds nothing", "hub:emit", [], "MESSAGE_INVALID"],
    ["it holds two lists", "hub:emit", [[], []], "MESSAGE_INVALID"],
    ["an entry is no list", "hub:emit", [[["said", { id: "a" }], "said"]], "MESSAGE_INVALID"],
    ["an entry is empty", "hub:emit", [[[]]], "MESSAGE_INVALID"],
    ["an entry is too long", "hub:emit", [[["said", { id: "a" }, {}, 4]]], "MESSAGE_INVALID"],
    ["it listens in the plain form", "hub:listen", [{ events: [] }], "MESSAGE_INVALID"],
  ])("%s", async (_when, message, args, code) => {
    await using client = await connect(hub, host);
    expect(await client.socket.emitWithAck(message, ...args)).toEqual(refusal(code));
    expect(hub.log.head).toBe(0);
  });

  it("an entry names what only a prototype has", async () => {
    await using client = await connect(hub, host);
    const reply = await client.socket.emitWithAck("hub:emit", [["toString", {}], [{}, {}], [null]]);
    expect(reply).toEqual({ ok: true, receipts: Array(3).fill(refusal("UNKNOWN_EVENT")) });
  });
});

describe("a handshake is refused with a code when", () => {
  it.each<[string, string, object, string]>([
    ["its namespace is no contract", "/parcel", host, "UNKNOWN_CONTRACT"],
    ["it has no namespace", "/", host, "UNKNOWN_CONTRACT"],
    ["its namespace is called __proto__", "/__proto__", host, "UNKNOWN_CONTRACT"],
    ["it says nothing", "/house", {}, "HANDSHAKE_INVALID"],
    ["it has no id", "/house", { role: "host" }, "HANDSHAKE_INVALID"],
    ["its id is called __proto__", "/house", { role: "host", id: "__proto__" }, "HANDSHAKE_INVALID"],
    ["its id would be another's room", "/house", { role: "host", id: "a:b" }, "HANDSHAKE_INVALID"],
    ["its role is a number", "/house", { role: 7, id: "h" }, "HANDSHAKE_INVALID"],
    ["its role is unknown", "/house", { role: "king", id: "h" }, "ROLE_UNKNOWN"],
    ["its role is called constructor", "/house", { role: "constructor", id: "h" }, "ROLE_UNKNOWN"],
    ["it speaks a version to come", "/house", { ...host, protocol: 2 }, "PROTOCOL_UNSUPPORTED"],
    ["it narrows to an unknown event", "/house", { ...host, events: ["shouted"] }, "UNKNOWN_EVENT"],
    [
      "it narrows to what it may not hear",
      "/house",
      { role: "mute", id: "m", events: ["said"] },
      "FORBIDDEN",
    ],
    ["it narrows to what is no room", "/house", { ...host, rooms: ["__proto__"] }, "ROOM_INVALID"],
  ])("%s", async (_when, namespace, auth, code) => {
    await using client = new PlainClient(`${hub.url}${namespace}`, auth);
    expect(await client.refused()).toMatchObject({ code, message: expect.any(String), retryable: false });
  });
});

describe("a connection is closed, with a code where a client could read it, when", () => {
  const closeWith = (code: string) => (frame: string) =>
    frame.startsWith('42/house,["hub:close"') && frame.includes(code);

  it.each([
    [
      "announces binary attachments that never come",
      '451-/house,["said",{"_placeholder":true,"num":0}]',
      "BINARY_REFUSED",
    ],
    ["sends binary data out of the blue", Buffer.from([1, 2, 3]), "BINARY_REFUSED"],
    ["says an event of Socket.IO's own", '42/house,["disconnect"]', "PACKET_INVALID"],
    ["sends what is no JSON", '42/house,["said",{', "PACKET_INVALID"],
    ["sends an event without a name", "42/house,[]", "PACKET_INVALID"],
    ["sends an event that is no list", '42/house,{"said":1}', "PACKET_INVALID"],
    ["sends an unknown type of packet", "49/house,[]", "PACKET_INVALID"],
    ["says an event called error", '42/house,["error",{}]', "PACKET_INVALID"],
    ["sends thousands of arguments", `42/house,["said"${",0".repeat(40_000)}]`, "PACKET_INVALID"],
    ["answers with thousands of arguments", `43/house,0[0${",0".repeat(40_000)}]`, "PACKET_INVALID"],
    ["asks for an ack under a number that is none", `42/house,${"9".repeat(400)}["said"]`, "PACKET_INVALID"],
  ])("it %s", async (_what, frame, code) => {
    await using client = await new RawClient(hub.url).join("/house", host);
    client.send(frame);
    await client.until(closeWith(code));
    await client.closed();
  });

  it.each([
    ["a message over the limit", `42/house,["said",{"id":"${"a".repeat(100_000)}"}]`],
    ["an event before the handshake", '42/elsewhere,["said",{"id":"a"}]'],
    ["a frame that Engine.IO does not know", "9"],
  ])("it sends %s", async (_what, frame) => {
    await using client = await new RawClient(hub.url).join("/house", host);
    client.send(frame);
    await client.closed();
  });

  it("it joins a thousand times", async () => {
    await using patient = await startHub({ contracts, limits: { connectTimeoutMs: 600_000 } });
    await using client = new RawClient(patient.url);
    await client.until((frame) => frame.startsWith("0"));
    for (let times = 0; times < 1_001; times += 1) client.send("40/nowhere,");
    await client.closed();
  });

  it("it never says who it is", async () => {
    await using impatient = await startHub({ contracts, limits: { connectTimeoutMs: 50 } });
    await using client = new RawClient(impatient.url);
    await client.closed();
  });

  it("its other end is gone without a word", async () => {
    await using watchful = await startHub({
      contracts,
      limits: { pingIntervalMs: 50, pingTimeoutMs: 50 },
    });
    await using client = await new RawClient(watchful.url).join("/house", host);
    await client.closed(); // it answers no ping
  });

  it("its other end hangs, which does not hold up the hub's own end", async () => {
    await using watchful = await startHub({ contracts, limits: { pingIntervalMs: 50, pingTimeoutMs: 50 } });
    await using client = await new RawClient(watchful.url).join("/house", host);
    client.socket.pause();
    const { sockets } = watchful.hub.namespace(house);
    while (sockets.size > 0) await new Promise((resolve) => setImmediate(resolve));
    await watchful.stop(); // longer than a test may take, if it waited for a goodbye
    client.socket.resume();
  });
});

it("a list that is too long is refused before its items are looked at", async () => {
  const rooms = Array(40_000).fill(7);
  await using client = await connect(hub, { ...host, protocol: 1 });
  const listen = { ok: false, error: { code: "MESSAGE_INVALID", issues: [{ path: "rooms" }] } };
  expect(await client.socket.emitWithAck("hub:listen", { events: [], rooms })).toMatchObject(listen);
  await using other = new PlainClient(`${hub.url}/house`, { ...host, rooms });
  expect(await other.refused()).toMatchObject({ code: "HANDSHAKE_INVALID", issues: [{ path: "rooms" }] });
});

it("an ack that was not asked for, and one that comes twice, change nothing", async () => {
  await using client = await new RawClient(hub.url).join("/house", { ...host, protocol: 1 });
  for (const frame of ["43/house,77[null]", "43/house,77[null]", "43/house,0[]"]) client.send(frame);
  client.send('42/house,5["said",{"id":"a"}]');
  await client.until((frame) => frame.startsWith('43/house,5[{"ok":true'));
  await bystander.take(1);
});

it("two messages that ask for the same ack are both answered", async () => {
  await using client = await new RawClient(hub.url).join("/house", { ...host, events: [] });
  for (const id of ["a", "b"]) client.send(`42/house,5["said",{"id":"${id}"}]`);
  await client.until((frame) => frame.startsWith("43/house,5[") && frame.includes('"offset":1'));
  await client.until((frame) => frame.startsWith("43/house,5[") && frame.includes('"offset":2'));
  await bystander.take(2);
});

it("an event without an ack is taken, or refused, in silence", async () => {
  await using client = await connect(hub, { ...host, events: [] });
  client.socket.emit("said", { id: 7 });
  client.socket.emit("said", { id: "a" });
  expect((await bystander.take(1)).map(({ data }) => data.id)).toEqual(["a"]);
});

it("a connection that speaks no HTTP, and one that stops in the middle of it, do no harm", async () => {
  const { port } = new URL(hub.url);
  for (const bytes of [
    "\x16\x03\x01 hello\r\n\r\n",
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n",
  ]) {
    const connection = createConnection(Number(port), "127.0.0.1");
    connection.on("error", () => undefined);
    await new Promise<void>((resolve) => connection.write(bytes, () => resolve()));
    connection.destroy();
  }
});

it("a page of elsewhere may not connect, one of this machine may", async () => {
  const ask = (origin: string) =>
    fetch(`${hub.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin, connection: "close" } });
  const refused = await ask("https://evil.example");
  expect([refused.status, await refused.json()]).toMatchObject([
    403,
    { error: { code: "ORIGIN_FORBIDDEN" } },
  ]);
  const own = await ask("http://localhost:5173");
  expect(own.status).toBe(200);
  expect(own.headers.get("access-control-allow-origin")).toBe("http://localhost:5173");
  await own.text();
});
