import { spawn } from "node:child_process";
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { defineContract } from "@orrery/contracts";
import { unsentBytes } from "../src/connection.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { PlainClient, RawClient, refusal } from "./clients.ts";
import { connect, contracts, house } from "./house.ts";
import { heldBytes, hubEndOf, readOn, stall } from "./stall.ts";
import { Watcher } from "./watcher.ts";

/** Longer than any test. */
const longMs = 600_000;
const start = (limits: object = {}) => startHub({ contracts, limits });
const forms = [
  ["plain", {}],
  ["batched", { protocol: 1 }],
] as const;
const guest = (id: string) => ({ role: "guest", id });
const watch = (hub: TestHub, id = "w") => new Watcher(hub, id).watch();

/** Clients that go together. */
class Crowd implements AsyncDisposable {
  readonly #all: AsyncDisposable[] = [];

  add<Client extends AsyncDisposable>(client: Client): Client {
    this.#all.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map((client) => client[Symbol.asyncDispose]()));
  }
}

/** Resolves when the hub has noticed that the satellite has so many connections. */
async function connections(watcher: Watcher, satellite: string, count: number): Promise<void> {
  for (;;) {
    const { satellites } = await watcher.who();
    if (satellites.find((one) => one.satellite === satellite)?.connections === count) return;
  }
}

describe.each(forms)("a %s satellite that asks who is connected", (_form, form) => {
  it("is told of each satellite once: its role, its rooms, since when, over how many connections", async () => {
    const beganMs = Date.now();
    await using hub = await start();
    await using asker = await new Watcher(hub, "w", form).connected();
    await using _narrowed = await connect(hub, { ...guest("b"), events: ["said", "whispered"] });
    await using _one = await connect(hub, {
      role: "host",
      id: "h",
      events: ["whispered"],
      rooms: ["guest:x"],
    });
    await using listening = await connect(hub, { role: "host", id: "h", protocol: 1 });
    await listening.socket.emitWithAck("hub:listen", { events: ["whispered"], rooms: ["guest:a"] });
    await using _mute = await connect(hub, { role: "mute", id: "m" });
    const { satellites, next, graceMs } = await asker.who();
    const of = (role: string, id: string, rooms: readonly string[], count = 1) => {
      const own = [`${role}:${id}`, `satellite:${id}`];
      const status = { satellite: `${role}:${id}`, role, id, since: expect.any(String) };
      return { ...status, rooms: [...own, ...rooms].sort(), connections: count, lag: 0 };
    };
    expect(satellites).toEqual([
      of("guest", "b", []),
      of("host", "h", ["guest:a", "guest:x"], 2),
      of("host", "w", []),
      of("mute", "m", []),
    ]);
    for (const { since } of satellites) {
      expect(new Date(since).toISOString()).toBe(since);
      expect(Date.parse(since)).toBeGreaterThanOrEqual(beganMs);
    }
    expect([next, graceMs]).toEqual([undefined, 3_000]);
  });

  it("is told the first 100 rooms of each, and of how many where it has more, as they are now", async () => {
    await using hub = await start();
    await using asker = await new Watcher(hub, "w", form).connected();
    const names = (from: number, count: number) =>
      Array.from({ length: count }, (_, n) => `guest:${String(from + n).padStart(3, "0")}`);
    const connection = (id: string, rooms: readonly string[]) =>
      connect(hub, { role: "host", id, events: ["whispered"], rooms });
    await using _most = await connection("a", names(0, 98));
    await using _one = await connection("b", names(60, 80));
    await using other = await connect(hub, { role: "host", id: "b", protocol: 1 });
    const roomsOf = async (id: string) => {
      const { rooms, roomCount } = (await asker.who()).satellites.find((one) => one.id === id) ?? {};
      return { rooms, roomCount };
    };
    const narrow = (rooms: readonly string[]) =>
      other.socket.emitWithAck("hub:listen", { events: ["whispered"], rooms });
    expect(await roomsOf("a")).toEqual({ rooms: [...names(0, 98), "host:a", "satellite:a"] });
    await narrow(names(0, 80));
    expect(await roomsOf("b")).toEqual({ rooms: names(0, 100), roomCount: 142 });
    expect(await roomsOf("b")).toEqual({ rooms: names(0, 100), roomCount: 142 });
    await narrow(names(20, 60));
    expect(await roomsOf("b")).toEqual({ rooms: names(20, 100), roomCount: 122 });
    await narrow(names(60, 18));
    expect(await roomsOf("b")).toEqual({ rooms: [...names(60, 80), "host:b", "satellite:b"] });
  });

  it("gets pages that fit into the hub's messages, and misses nobody who stays", async () => {
    await using hub = await start({ messageBytes: 4_000 });
    await using asker = await new Watcher(hub, "w", form).connected();
    const guests = Array.from({ length: 40 }, (_, n) => `g${String(n).padStart(2, "0")}`);
    await using crowd = new Crowd();
    for (const id of guests) crowd.add(await connect(hub, { ...guest(id), events: [] }));
    const first = await asker.who();
    expect(JSON.stringify(first).length).toBeLessThan(4_000);
    expect(first.next).toBe(first.satellites.at(-1)?.satellite);
    const names = (await asker.whoAll()).map(({ satellite }) => satellite);
    expect(names).toEqual([...guests.map((id) => `guest:${id}`), "host:w"]);
  });

  it("hears who comes and who goes where it asks for that, and only until it wants no more", async () => {
    await using hub = await start({ presenceGraceMs: 1 });
    await using asker = await new Watcher(hub, "w", form).connected();
    await using other = await watch(hub, "other");
    await using _early = await connect(hub, guest("early"));
    await other.tells("came guest:early");
    expect(asker.told).toEqual([]);
    await asker.watch();
    const late = await connect(hub, guest("late"));
    await asker.tells("came guest:late");
    late.socket.disconnect();
    await asker.tells("went guest:late");
    expect(await asker.socket.emitWithAck("hub:unwatch", {})).toEqual({ ok: true });
    await using _last = await connect(hub, guest("last"));
    await other.tells("came guest:last");
    await asker.who();
    expect(asker.told).toEqual(["came guest:late", "went guest:late"]);
    expect([asker.faults, other.faults]).toEqual([[], []]);
  });

  it("is refused, and hears of nothing, where the contract does not name its role", async () => {
    await using hub = await start({ presenceGraceMs: 1 });
    await using watcher = await watch(hub);
    await using client = await connect(hub, { ...guest("g"), ...form });
    const heard: unknown[] = [];
    client.socket.on("hub:presence", (message) => heard.push(message));
    for (const request of [{}, { watch: true }]) {
      expect(await client.socket.emitWithAck("hub:who", request)).toEqual(refusal("FORBIDDEN"));
    }
    await using _other = await connect(hub, guest("other"));
    await watcher.tells("came guest:other");
    // Whatever was sent to it before has come before this answer.
    expect(await client.socket.emitWithAck("hub:who", {})).toEqual(refusal("FORBIDDEN"));
    expect(heard).toEqual([]);
  });

  it("is refused what it does not say as it should", async () => {
    await using hub = await start();
    await using client = await new Watcher(hub, "w", form).connected();
    const wrong = [[], [null], ["all"], [{ watch: 1 }], [{ after: 7 }], [{ role: "guest" }], [{}, {}]];
    for (const args of wrong) {
      expect(await client.socket.emitWithAck("hub:who", ...args)).toEqual(refusal("MESSAGE_INVALID"));
    }
    for (const args of [[], ["all"], [{}, {}]]) {
      expect(await client.socket.emitWithAck("hub:unwatch", ...args)).toEqual(refusal("MESSAGE_INVALID"));
    }
    client.socket.emit("hub:who");
    client.socket.emit("hub:who", { watch: true });
    await connections(client, "host:w", 1);
  });
});

it("nobody may see who is connected where the contract does not say so", async () => {
  const { presence: _, ...definition } = house;
  const silent = defineContract({ ...definition, name: "silent" } as never);
  await using hub = await startHub({ contracts: [silent] });
  await using client = await new PlainClient(`${hub.url}/silent`, { role: "host", id: "h" }).connected();
  expect(await client.socket.emitWithAck("hub:who", {})).toEqual(refusal("FORBIDDEN"));
});

describe("how far a satellite is behind is told", () => {
  it("of its live listening while it catches up, and is 0 when it has", async () => {
    await using hub = await start({ tailBytes: 1 });
    await using watcher = await watch(hub);
    await using speaker = await connect(hub, { role: "host", id: "s", events: [] });
    for (const id of ["1", "2", "3"]) await speaker.say("said", { id });
    const lag = async () => (await watcher.who()).satellites.find(({ id }) => id === "g")?.lag;
    await using client = await new RawClient(hub.url).join("/house", { ...guest("g"), protocol: 1 });
    client.send('42/house,0["hub:listen",{"events":["said"],"after":"start"}]');
    await client.until((frame) => frame.includes('"hub:events"'));
    expect(await lag()).toBe(3);
    const page = await client.until((frame) => frame.includes('"hub:events"'));
    const [, ack] = /^42\/house,(\d+)\[/.exec(page) ?? [];
    client.send(`43/house,${ack}[null]`);
    while ((await lag()) !== 0) await turn();
  });

  it("of its followers by the one that is furthest behind", async () => {
    await using hub = await start();
    await using watcher = await watch(hub);
    await using speaker = await connect(hub, { role: "host", id: "s", events: [] });
    await using client = await connect(hub, { ...guest("g"), protocol: 1 });
    const deliveries: (() => void)[] = [];
    client.socket.on("hub:deliver", (_delivery, ack) => deliveries.push(() => ack({})));
    const follow = (as: string, events: readonly string[]) =>
      client.socket.emitWithAck("hub:follow", { as, events });
    await follow("all", ["said"]);
    await speaker.say("said", { id: "1" });
    await follow("later", ["said"]);
    await speaker.say("said", { id: "2" });
    const lag = async () => (await watcher.who()).satellites.find(({ id }) => id === "g")?.lag;
    while (deliveries.length < 3) await turn();
    expect(await lag()).toBe(2);
    for (const answer of deliveries) answer();
    while ((await lag()) !== 0) await turn();
    client.socket.disconnect();
    await connections(watcher, "guest:g", 0);
    await speaker.say("said", { id: "3" });
    expect(await lag()).toBe(0); // it does not follow now
  });
});

describe("who watches is told that a satellite", () => {
  it("went only when the grace is over", async () => {
    await using hub = await start({ presenceGraceMs: 300 });
    await using watcher = await watch(hub);
    const client = await connect(hub, guest("g"));
    await watcher.tells("came guest:g");
    const beganMs = performance.now();
    client.socket.disconnect();
    await watcher.tells("went guest:g");
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(299);
    expect((await watcher.who()).satellites.map(({ satellite }) => satellite)).toEqual(["host:w"]);
  });

  it("went one after the other, each when its own grace is over, whoever comes back between", async () => {
    await using hub = await start({ presenceGraceMs: 500 });
    await using watcher = await watch(hub);
    const clients = [];
    for (const id of ["a", "b", "c", "d"]) clients.push(await connect(hub, guest(id)));
    await watcher.tells("came guest:d");
    await using back = new RawClient(hub.url);
    await back.until((frame) => frame.startsWith("0"));
    for (const client of clients) client.socket.disconnect();
    await back.join("/house", guest("b"));
    for (const id of ["a", "c", "d"]) await watcher.tells(`went guest:${id}`);
    const gone = watcher.told.filter((news) => news.startsWith("went")).sort();
    expect(gone).toEqual(["went guest:a", "went guest:c", "went guest:d"]);
  });

  it("went when its process was killed, within the grace and a little", async () => {
    await using hub = await start({ presenceGraceMs: 200 });
    await using watcher = await watch(hub);
    const code = `
      import { io } from "socket.io-client";
      io("${hub.url}/house", { auth: { role: "guest", id: "g" }, transports: ["websocket"] });
    `;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", code], { stdio: "inherit" });
    try {
      await watcher.tells("came guest:g");
      const killedMs = performance.now();
      child.kill("SIGKILL");
      await watcher.tells("went guest:g");
      expect(performance.now() - killedMs).toBeLessThan(5_000); // some 210 on an idle machine
    } finally {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    }
  });

  it("went when it does not answer pings any more, although its connection is open", async () => {
    // The watcher has to answer its own pings in that time.
    await using hub = await start({ presenceGraceMs: 50, pingIntervalMs: 50, pingTimeoutMs: 1_500 });
    await using watcher = await watch(hub);
    await using hanging = await new RawClient(hub.url).join("/house", guest("g"));
    await watcher.tells("came guest:g");
    stall(hanging);
    await watcher.tells("went guest:g");
    readOn(hanging); // it says goodbye: `ws` would wait for that for 30 s
  });
});

describe("who watches is told nothing of", () => {
  it("a satellite that is back within the grace: it is there all the time, and since the same time", async () => {
    await using hub = await start({ presenceGraceMs: longMs });
    await using watcher = await watch(hub);
    const first = await connect(hub, guest("g"));
    await watcher.tells("came guest:g");
    const since = watcher.there.get("guest:g");
    for (let flap = 0, before = first; flap < 3; flap += 1) {
      before.socket.disconnect();
      await connections(watcher, "guest:g", 0);
      before = await connect(hub, guest("g"));
      if (flap === 2) before.socket.disconnect();
    }
    await using _marker = await connect(hub, guest("marker"));
    await watcher.tells("came guest:marker");
    expect(watcher.told).toEqual(["came guest:g", "came guest:marker"]);
    const { satellites } = await watcher.who();
    expect(satellites.find(({ id }) => id === "g")?.since).toBe(since);
  });

  it("the other connections of a satellite that has several", async () => {
    await using hub = await start({ presenceGraceMs: 1 });
    await using watcher = await watch(hub);
    const first = await connect(hub, guest("g"));
    const second = await connect(hub, { ...guest("g"), protocol: 1 });
    await connections(watcher, "guest:g", 2);
    first.socket.disconnect();
    await connections(watcher, "guest:g", 1);
    await using _marker = await connect(hub, guest("marker"));
    await watcher.tells("came guest:marker");
    second.socket.disconnect();
    await watcher.tells("went guest:g");
    expect(watcher.told).toEqual(["came guest:g", "came guest:marker", "went guest:g"]);
  });
});

describe("while satellites come and go as they like, who begins to watch misses nothing, and hears nothing twice,", () => {
  it.each([
    ["in one page", 1_048_576],
    ["in many pages", 1_500],
  ])(
    "%s",
    async (_pages, messageBytes) => {
      const handshakes = { handshakesAtOnce: 10_000, handshakesAtOncePerAddress: 10_000 };
      await using hub = await start({ presenceGraceMs: 1, messageBytes, ...handshakes });
      await using crowd = new Crowd();
      const watchers: Watcher[] = [];
      let chance = 7;
      const random = (below: number) => {
        chance = (chance * 48_271) % 2_147_483_647;
        return chance % below;
      };
      const come = async (number: number) => {
        for (let life = 0; life < 15; life += 1) {
          const client = await connect(hub, { ...guest(`g${number}`), events: [] });
          for (let left = random(30); left > 0; left -= 1) await turn();
          if (life === 14 && number % 2 === 0) return void crowd.add(client);
          client.socket.disconnect();
          for (let left = random(30); left > 0; left -= 1) await turn();
        }
      };
      const begin = async (number: number) => {
        for (let left = random(100); left > 0; left -= 1) await turn();
        for (let time = 0; time < 5; time += 1) {
          const form = number % 2 === 0 ? {} : { protocol: 1 };
          const watcher = crowd.add(new Watcher(hub, `w${number}-${time}`, form));
          watchers.push(await watcher.watch());
          for (let left = random(100); left > 0; left -= 1) await turn();
        }
      };
      const numbers = Array.from({ length: 12 }, (_, number) => number);
      await Promise.all([...numbers.map(come), ...numbers.slice(0, 4).map(begin)]);
      // The last of them: 6 guests and 20 watchers stay.
      const last = crowd.add(new Watcher(hub, "last"));
      await last.watch();
      await last.until(() => last.there.size === 27);
      const truth = (await last.whoAll()).map(({ satellite, since }) => [satellite, since]);
      expect(truth).toHaveLength(27);
      for (const watcher of [...watchers, last]) {
        await watcher.until(() => watcher.there.size === 27);
        expect(watcher.picture).toEqual(truth);
        expect(watcher.faults).toEqual([]);
      }
      expect(watchers.flatMap(({ told }) => told).length).toBeGreaterThan(100);
    },
    60_000,
  );
});

it("who watches and does not read is told no more than its limit, and that it has to ask again when it reads", async () => {
  const limits = { unsentBytes: 50_000, unsentCheckMs: 10, tailBytes: 1, presenceGraceMs: 1 };
  await using hub = await start(limits);
  await using healthy = await watch(hub);
  await using slow = new Watcher(hub, "slow", { events: ["said"] });
  await slow.watch();
  stall(slow);
  const hubEnd = hubEndOf(hub, "slow");
  // More than the system's own buffers take for a connection, so that what comes waits in the hub.
  await using speaker = await connect(hub, { role: "host", id: "s", protocol: 1 });
  const note = ["said", { id: "x", text: "x".repeat(8_000) }];
  while (unsentBytes(hubEnd.conn) <= limits.unsentBytes) {
    await speaker.socket.emitWithAck(
      "hub:emit",
      Array.from({ length: 25 }, () => note),
    );
  }
  const heldBefore = heldBytes(hubEnd);
  for (let life = 0; life < 20; life += 1) {
    const client = await connect(hub, { ...guest(`g${life}`), events: [] });
    client.socket.disconnect();
    await healthy.tells(`went guest:g${life}`);
  }
  await using _stays = await connect(hub, guest("stays"));
  await healthy.tells("came guest:stays");
  expect(heldBytes(hubEnd)).toBe(heldBefore);

  readOn(slow);
  await slow.until(() => slow.overs === 1);
  expect(slow.told.filter((news) => news.includes("guest:g"))).toEqual([]);
  await slow.watch();
  expect(slow.picture).toEqual(healthy.picture);
  await using _later = await connect(hub, guest("later"));
  await slow.tells("came guest:later");
  expect([slow.overs, slow.faults]).toEqual([1, []]);
});

it("nobody watches whose connection ended with the same bytes in which it asked to", async () => {
  await using hub = await start();
  await using watcher = await watch(hub);
  await using raw = await new RawClient(hub.url).join("/house", { role: "host", id: "h", protocol: 1 });
  const told: unknown[] = [];
  const gone = hubEndOf(hub, "h");
  gone.emit = (...args: unknown[]) => told.push(args) > 0;
  raw.sendTogether(['42/house,1["hub:who",{"watch":true}]', "no packet"]);
  await raw.closed();
  await using _guest = await connect(hub, guest("g"));
  await watcher.tells("came guest:g");
  expect(told).toEqual([]);
});

it("who asks for page after page and does not read them has one waiting, and gets all of them when it reads", async () => {
  const limits = { unsentBytes: 50_000, requestsAtOnce: 10_000 };
  await using hub = await start(limits);
  await using crowd = new Crowd();
  const rooms = Array.from({ length: 100 }, (_, n) => `guest:${n}-`.padEnd(100, "x"));
  for (const id of ["a", "b"])
    crowd.add(await connect(hub, { role: "host", id, events: ["whispered"], rooms }));
  await using asker = await new RawClient(hub.url).join("/house", { role: "host", id: "asker", events: [] });
  stall(asker);
  const hubEnd = hubEndOf(hub, "asker");
  let asked = 0;
  hubEnd.onAny(() => (asked += 1));
  // Some 35 in one piece of what is handed on, so that the hub has these before it knows that none is read.
  const count = 1_000;
  asker.sendTogether(Array.from({ length: count }, (_, n) => `42/house,${n}["hub:who",{}]`));
  let mostHeld = 0;
  for (let [sinceMs, before] = [performance.now(), -1]; performance.now() - sinceMs < 300; ) {
    await turn();
    mostHeld = Math.max(mostHeld, heldBytes(hubEnd));
    if (asked !== before) [sinceMs, before] = [performance.now(), asked];
  }
  expect(asked).toBeGreaterThan(30);
  expect(asked).toBeLessThan(count);
  expect(mostHeld).toBeGreaterThan(limits.unsentBytes);
  expect(mostHeld).toBeLessThan(10 * limits.unsentBytes);

  readOn(asker);
  await asker.until((frame) => frame.startsWith(`43/house,${count - 1}[`));
  const answered = asker.frames.filter((frame) => frame.startsWith("43/house,"));
  expect(answered.map((frame) => Number.parseInt(frame.slice(9), 10))).toEqual(
    Array.from({ length: count }, (_, n) => n),
  );
});

it("who asks to watch in one piece with leaving is told nothing", async () => {
  await using hub = await start();
  await using raw = await new RawClient(hub.url).join("/house", { role: "host", id: "h", events: [] });
  raw.sendTogether(["41/house,", '42/house,0["hub:who",{"watch":true}]']);
  raw.send("40/elsewhere,");
  await raw.until((frame) => frame.startsWith("44/elsewhere,"));
  await using watcher = await watch(hub);
  await using _other = await connect(hub, guest("g"));
  await watcher.tells("came guest:g");
  raw.send("40/nowhere,");
  await raw.until((frame) => frame.startsWith("44/nowhere,"));
  expect(raw.frames.filter((frame) => frame.includes("hub:presence"))).toEqual([]);
});
