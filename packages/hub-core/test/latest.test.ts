import { setImmediate as turn } from "node:timers/promises";
import { parcels } from "@orrery/contracts/parcels";
import { startHub, type TestHub } from "../src/testing.ts";
import { PlainClient, RawClient } from "./clients.ts";
import { connect, contracts, host } from "./house.ts";
import { named, range } from "./numbers.ts";

const batched = { ...host, protocol: 1 };
const listen = (client: PlainClient, request: object) => client.socket.emitWithAck("hub:listen", request);

/** Says how they are, in the order given; each as `<who> <mood>`. */
async function feel(client: PlainClient, ...moods: readonly string[]): Promise<void> {
  const entries = moods.map((one) => {
    const [who, mood] = one.split(" ");
    return ["mood", { who, mood }];
  });
  await client.socket.emitWithAck("hub:emit", entries);
}
const note = (client: PlainClient, id: string) => client.say("hub:emit", [["said", { id }]]);

/** What was heard, in short: `<who> <mood>`, or a note's id. */
const short = (heard: PlainClient["heard"]) =>
  heard.map(({ data: { id, who, mood } }) => (id === undefined ? [who, mood].join(" ") : id));
const offsetsOf = ({ heard }: PlainClient) => heard.map(({ meta }) => meta.offset as number);
async function hears(client: PlainClient, last: string): Promise<void> {
  while (short(client.heard.slice(-1))[0] !== last) await turn();
}

const places = [
  ["memory", {}],
  ["the disk", { tailBytes: 1 }],
] as const;

describe.each([
  ["plain", async (hub: TestHub) => connect(hub, { role: "guest", id: "g" })],
  [
    "batched",
    async (hub: TestHub) => {
      const client = await connect(hub, { role: "guest", id: "g", protocol: 1 });
      await listen(client, { events: ["mood", "said"] });
      return client;
    },
  ],
])("a new %s listener", (_form, join) => {
  it.each(places)(
    "hears first the last value per key, then what is said live: from %s",
    async (_place, limits) => {
      await using hub = await startHub({ contracts, limits });
      await using speaker = await connect(hub, batched);
      await feel(speaker, "ana calm", "bob sad", "ana glad", "cleo calm", "bob glad");
      await note(speaker, "before");
      await using client = await join(hub);
      await hears(client, "bob glad");
      await feel(speaker, "bob tired");
      await note(speaker, "after");
      await hears(client, "after");
      expect(short(client.heard)).toEqual(["ana glad", "cleo calm", "bob glad", "bob tired", "after"]);
    },
  );

  it("hears no value go back, and each last one, while values change at full speed", async () => {
    const total = 4_000;
    await using hub = await startHub({ contracts, limits: { tailBytes: 10_000 } });
    await using speaker = await connect(hub, batched);
    const changing = (async () => {
      for (let n = 0; n < total; n += 40)
        await feel(speaker, ...range(n, n + 40).map((m) => `w${m % 7} ${m}`));
      await note(speaker, "end");
    })();
    const clients: PlainClient[] = [];
    while (clients.length < 8) {
      const before = hub.log.head;
      clients.push(await join(hub));
      while (hub.log.head === before && hub.log.head < total) await turn();
    }
    await changing;
    for (const client of clients) {
      await hears(client, "end");
      const last = new Map<unknown, number>();
      const back: unknown[] = []; // with one `expect` for each, this takes longer than all the rest
      for (const { data } of client.heard.filter(({ event }) => event === "mood")) {
        const [mood, before] = [Number(data.mood), last.get(data.who) ?? -1];
        if (mood <= before) back.push({ ...data, before });
        last.set(data.who, mood);
      }
      expect(back).toEqual([]);
      expect([...last.values()].sort((a, b) => a - b)).toEqual(range(total - 7, total));
      await client[Symbol.asyncDispose]();
    }
  });
});

describe("a batched listener", () => {
  it("hears every value after those that it gets first, where the values are in memory", async () => {
    const total = 4_000;
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, batched);
    await using client = await connect(hub, { role: "guest", id: "g", protocol: 1 });
    const changing = (async () => {
      for (let n = 0; n < total; n += 40)
        await feel(speaker, ...range(n, n + 40).map((m) => `w${m % 7} ${m}`));
    })();
    while (hub.log.head < 1_000) await turn();
    const { cursor } = await listen(client, { events: ["mood"] });
    await changing;
    while (offsetsOf(client).at(-1) !== total) await turn();
    const start = Number(cursor.split(":")[1]);
    expect(offsetsOf(client).filter((offset) => offset > start)).toEqual(range(start, total));
    expect(offsetsOf(client).filter((offset) => offset <= start).length).toBeLessThanOrEqual(7);
  });

  it("that adds such an event later hears its last values then, and not those that it had", async () => {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, batched);
    await feel(speaker, "ana calm", "bob sad");
    await using client = await connect(hub, { role: "guest", id: "g", protocol: 1 });
    await listen(client, { events: ["said"] });
    await note(speaker, "one");
    await listen(client, { events: ["said", "mood"] });
    await note(speaker, "two");
    await hears(client, "two"); // it is live again
    await listen(client, { events: ["said", "mood", "waved"] });
    await note(speaker, "three");
    await listen(client, { events: ["said"] });
    await listen(client, { events: ["said", "mood"], fresh: [] });
    await note(speaker, "four");
    await listen(client, { events: ["said", "mood"], fresh: ["mood"] });
    await note(speaker, "five");
    await hears(client, "five");
    const values = ["ana calm", "bob sad"];
    expect(short(client.heard)).toEqual(["one", ...values, "two", "three", "four", ...values, "five"]);
  });

  it.each(places)(
    "that adds such an event while it catches up loses nothing of what it was to hear: from %s",
    async (_place, limits) => {
      await using hub = await startHub({ contracts, limits });
      await using speaker = await connect(hub, batched);
      const ids = named("n", 2_500);
      await feel(speaker, "ana calm", "bob sad");
      for (let start = 0; start < ids.length; start += 250)
        await speaker.say(
          "hub:emit",
          ids.slice(start, start + 250).map((id) => ["said", { id }]),
        );
      await using client = await connect(hub, { role: "guest", id: "g", protocol: 1 });
      const replies = [
        listen(client, { events: ["said"], after: "start" }),
        listen(client, { events: ["said", "mood"], fresh: ["mood"] }),
      ];
      for (const reply of await Promise.all(replies)) expect(reply).toMatchObject({ ok: true });
      await note(speaker, "end");
      await hears(client, "end");
      const said = client.heard.filter(({ event }) => event === "said");
      expect(short(said)).toEqual([...ids, "end"]);
      const moods = short(client.heard.filter(({ event }) => event === "mood"));
      expect(new Set(moods)).toEqual(new Set(["ana calm", "bob sad"]));
    },
  );

  it.each(places)(
    "that comes back with its cursor hears only what has changed since: from %s",
    async (_place, limits) => {
      await using hub = await startHub({ contracts, limits });
      await using speaker = await connect(hub, batched);
      await feel(speaker, "ana calm", "bob sad", "cleo calm");
      const after = `${hub.log.epoch}:3`;
      await feel(speaker, "bob glad");
      await using client = await connect(hub, { role: "guest", id: "g", protocol: 1 });
      await listen(client, { events: ["mood", "said"], after });
      await note(speaker, "end");
      await hears(client, "end");
      expect(short(client.heard)).toEqual(["bob glad", "end"]);
      // A value that it never got it can ask for.
      await using fresh = await connect(hub, { role: "guest", id: "f", protocol: 1 });
      await listen(fresh, { events: ["mood", "said"], after, fresh: ["mood"] });
      await hears(fresh, "end");
      expect(short(fresh.heard)).toEqual(["ana calm", "cleo calm", "bob glad", "end"]);
    },
  );
});

describe("a batched listener that has not answered the first last values yet", () => {
  /** The values that it hears, that page's first, where it asks so before it answers it. */
  async function hearing(requests: readonly object[]): Promise<readonly string[]> {
    await using hub = await startHub({ contracts });
    await using speaker = await connect(hub, batched);
    await feel(speaker, "ana calm", "bob sad");
    await using client = await new RawClient(hub.url).join("/house", { role: "guest", id: "g", protocol: 1 });
    const ask = (id: number, request: object) =>
      client.send(`42/house,${id}["hub:listen",${JSON.stringify(request)}]`);
    ask(0, { events: ["mood"] });
    const isPage = (frame: string) => /^42\/house,\d+\["hub:(latest|events)"/.test(frame);
    await client.until(isPage);
    requests.forEach((request, place) => {
      ask(place + 1, request);
    });
    await client.until((frame) => frame.startsWith(`43/house,${requests.length}[`));
    expect(client.frames.filter(isPage)).toHaveLength(1);
    const heard: string[] = [];
    for (let looked = 0, isOver = false; !isOver; looked += 1) {
      const frame = await client.until((one) => client.frames.indexOf(one) >= looked);
      const [, id] = /^42\/house,(\d*)\["hub:(latest|events)"/.exec(frame) ?? [];
      if (id === undefined) continue;
      if (id !== "") client.send(`43/house,${id}[null]`);
      const [name, events] = JSON.parse(frame.slice(frame.indexOf("[")));
      isOver = name === "hub:latest" && events.length === 0;
      heard.push(...events.map(([, { who, mood }]: [string, Record<string, string>]) => `${who} ${mood}`));
    }
    return heard;
  }
  const values = ["ana calm", "bob sad"];

  it("hears them once more, however often it has asked for them meanwhile", async () => {
    const again = { events: ["mood"], fresh: ["mood"] };
    expect(await hearing(Array.from({ length: 20 }, () => again))).toEqual([...values, ...values]);
  });

  it("hears them once more also where it has named other events since", async () => {
    const requests = [{ events: ["mood"], fresh: ["mood"] }, { events: ["mood", "said"] }];
    expect(await hearing(requests)).toEqual([...values, ...values]);
  });

  it("does not hear them again where it wants to hear of them no more", async () => {
    const requests = [{ events: ["mood"], fresh: ["mood"] }, { events: ["said"] }];
    expect(await hearing(requests)).toEqual(values);
  });
});

describe("last values reach only those who may hear them", () => {
  const start = () => startHub({ contracts: [parcels] });
  const join = (hub: TestHub, role: string, id: string, form: object = {}) =>
    new PlainClient(`${hub.url}/parcels`, { role, id, ...form }).connected();
  const move = async (client: PlainClient, driverId: string) =>
    expect(await client.say("position", { driverId, latitude: 1, longitude: 2 })).toMatchObject({ ok: true });
  const driverIds = ({ heard }: Pick<PlainClient, "heard">) => heard.map(({ data }) => data.driverId);

  it("a role that hears its own hears its own, and one that may not hear them hears none", async () => {
    await using hub = await start();
    await using one = await join(hub, "driver", "one");
    await using two = await join(hub, "driver", "two");
    await move(one, "one");
    await move(two, "two");
    await using again = await join(hub, "driver", "one");
    await using vendor = await join(hub, "vendor", "acme");
    await using board = await join(hub, "board", "b");
    // Before there are newer ones: of those alone it would hear, once.
    expect(driverIds({ heard: await again.take(1) })).toEqual(["one"]);
    expect(driverIds({ heard: await board.take(2) })).toEqual(["one", "two"]);
    await move(one, "one");
    await move(two, "two");
    const parcel = { parcelId: "p", vendorId: "acme", customer: { city: "Recife", state: "PE" } };
    await vendor.say("pickup", parcel);
    expect(driverIds({ heard: await again.take(2) })).toEqual(["one", undefined]);
    expect(driverIds({ heard: await board.take(3) })).toEqual(["one", "two", undefined]);
    expect(driverIds({ heard: await vendor.take(1) })).toEqual([undefined]);
  });

  it("asking for them all the same is refused", async () => {
    await using hub = await start();
    await using vendor = await join(hub, "vendor", "acme", { protocol: 1 });
    expect(await listen(vendor, { events: ["pickup"], fresh: ["position"] })).toMatchObject({ ok: true });
    const reply = await listen(vendor, { events: ["pickup", "position"] });
    expect(reply).toMatchObject({ ok: false, error: { code: "FORBIDDEN" } });
    expect(vendor.heard).toEqual([]);
  });
});
