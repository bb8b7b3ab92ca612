import { setImmediate as turn } from "node:timers/promises";
import { unsentBytes } from "../src/connection.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { type PlainClient, RawClient } from "./clients.ts";
import { connect, contracts, house, noRates } from "./house.ts";
import { heldBytes, hubEndOf, readOn, stall } from "./stall.ts";

const limits = { ...noRates, unsentBytes: 200_000, unsentCheckMs: 10, tailBytes: 1 };
const text = "x".repeat(8_000);
/** More than the system's own buffers hold for a connection, several times over. */
const flood = 4_000;

/** Says that many notes, and after each tenth one a mood of one of three, always another one. */
async function speak(client: PlainClient, from: number, count: number): Promise<void> {
  const entries = Array.from({ length: count }, (_, place) => from + place).flatMap((n) => [
    ["said", { id: `${n}`, text }],
    ...(n % 10 === 0 ? [["mood", { who: `w${n % 3}`, mood: `${n}` }]] : []),
  ]);
  for (let start = 0; start < entries.length; start += 25) {
    const reply = await client.socket.emitWithAck("hub:emit", entries.slice(start, start + 25));
    expect(reply.receipts.every(({ ok }: { ok: boolean }) => ok)).toBe(true);
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, place) => `${place}`);
const saidOf = ({ heard }: PlainClient) => heard.filter(({ event }) => event === "said");
const moodsOf = ({ heard }: PlainClient) => heard.filter(({ event }) => event === "mood");

async function hears(client: PlainClient, id: string): Promise<void> {
  while (saidOf(client).at(-1)?.data.id !== id) await turn();
}

describe.each([
  ["plain", {}],
  ["batched", { protocol: 1 }],
])("a %s listener that stops reading", (_form, protocol) => {
  const listen = async (hub: TestHub, id: string) => {
    const client = await connect(hub, { role: "guest", id, ...protocol });
    const events = ["said", "mood"];
    if ("protocol" in protocol) await client.socket.emitWithAck("hub:listen", { events });
    return client;
  };

  it("costs the hub no more than its limit, delays nobody, and gets everything in order when it reads again", async () => {
    await using hub = await startHub({ contracts, limits });
    await using speaker = await connect(hub, { role: "host", id: "s", protocol: 1 });
    await using slow = await listen(hub, "slow");
    await using healthy = await listen(hub, "healthy");
    await speak(speaker, 0, 100);
    await Promise.all([hears(slow, "99"), hears(healthy, "99")]);

    stall(slow);
    const hubEnd = hubEndOf(hub, "slow");
    let mostHeld = 0;
    let mostUnsent = 0;
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        mostHeld = Math.max(mostHeld, heldBytes(hubEnd));
        mostUnsent = Math.max(mostUnsent, unsentBytes(hubEnd.conn));
        await turn();
      }
    })();
    await speak(speaker, 100, flood);
    await hears(healthy, `${flood + 99}`);
    isOver = true;
    await watching;
    // A page of the log, and what one look at the connections finds too late.
    const most = 8_000_000;
    expect(mostHeld).toBeLessThan(most);
    expect(flood * text.length).toBeGreaterThan(3 * most);
    expect(mostUnsent).toBeGreaterThan(limits.unsentBytes);
    expect(saidOf(healthy).map(({ data }) => data.id)).toEqual(numbers(flood + 100));

    readOn(slow);
    await hears(slow, `${flood + 99}`);
    await speak(speaker, flood + 100, 1);
    await Promise.all([hears(slow, `${flood + 100}`), hears(healthy, `${flood + 100}`)]);
    expect(saidOf(slow).map(({ data }) => data.id)).toEqual(numbers(flood + 101));
    const offsets = slow.heard.map(({ meta }) => meta.offset as number);
    expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
    // Of moods it gets those that were the newest when it was served.
    const last = (client: PlainClient) =>
      new Map(moodsOf(client).map(({ data, meta }) => [data.who, meta.offset]));
    expect(last(slow)).toEqual(last(healthy));
    expect(moodsOf(slow).length).toBeLessThan(moodsOf(healthy).length / 2);
  });
});

it("whoever asks to listen again and again, and reads no page, has one on its way", async () => {
  await using hub = await startHub({ contracts, limits: { ...limits, tailBytes: 1_000 } });
  await using speaker = await connect(hub, { role: "host", id: "s", protocol: 1 });
  await speak(speaker, 0, 200);
  await using greedy = await new RawClient(hub.url).join("/house", { role: "host", id: "g", protocol: 1 });
  const pages = () => greedy.frames.filter((frame) => frame.includes('["hub:events"'));
  for (let asked = 1; asked <= 20; asked += 1) {
    greedy.send(`42/house,${asked}["hub:listen",{"events":["said"],"after":"start"}]`);
    await greedy.until((frame) => frame.startsWith(`43/house,${asked}[{"ok":true`));
    await greedy.until((frame) => frame.includes('["hub:events"'));
  }
  expect(pages()).toHaveLength(1);
  const [, ackId] = /^42\/house,(\d+)/.exec(pages()[0] as string) as RegExpExecArray;
  greedy.send(`43/house,${ackId}[null]`);
  await greedy.until((frame) => frame !== pages()[0] && frame.includes('["hub:events"'));
});

it("a hub closes within its time although connections read nothing, with a name or without", async () => {
  await using hub = await startHub({ contracts, limits: { ...limits, closeMs: 100 } });
  await using speaker = await connect(hub, { role: "host", id: "s", protocol: 1 });
  await using slow = await connect(hub, { role: "guest", id: "slow" });
  await using nameless = new RawClient(hub.url);
  await nameless.until((frame) => frame.startsWith("0"));
  for (const client of [slow, nameless]) stall(client);
  await speak(speaker, 0, flood / 4);
  const beganMs = performance.now();
  await hub.stop();
  expect(performance.now() - beganMs).toBeLessThan(2_000);
});

it("a polling satellite that vanished without a word leaves nothing behind when the hub closes", async () => {
  await using hub = await startHub({
    contracts,
    limits: { pingIntervalMs: 50, pingTimeoutMs: 50, closeMs: 100 },
  });
  const polling = `${hub.url}/socket.io/?EIO=4&transport=polling`;
  const request = async (query: string, body?: string) =>
    (await fetch(`${polling}${query}`, body === undefined ? {} : { method: "POST", body })).text();
  const { sid } = JSON.parse((await request("")).slice(1));
  await request(`&sid=${sid}`, `40/house,${JSON.stringify({ role: "guest", id: "gone" })}`);
  const { sockets } = hub.hub.namespace(house);
  expect(sockets.size).toBe(1);
  while (sockets.size > 0) await turn();
  await hub.stop(); // the test environment finds Engine.IO's timer of 30 s
});

it("a publisher that does not read its receipts is held back: they do not pile up, and none is lost", async () => {
  await using hub = await startHub({
    contracts,
    limits: { ...noRates, unsentBytes: 200_000, unsentCheckMs: 10 },
  });
  await using client = await new RawClient(hub.url).join("/house", { role: "host", id: "p", events: [] });
  stall(client);
  const hubEnd = hubEndOf(hub, "p");
  const total = 20_000;
  let mostHeld = 0;
  for (let said = 0; said < total; said += 1_000) {
    for (let n = said; n < said + 1_000; n += 1) client.send(`42/house,${n}["said",{"id":7}]`);
    mostHeld = Math.max(mostHeld, heldBytes(hubEnd));
    await turn();
  }
  const before = hubEnd.conn.readyState;
  readOn(client);
  await client.until((frame) => frame.startsWith(`43/house,${total - 1}[`));
  expect(before).toBe("open");
  expect(client.frames.filter((frame) => frame.startsWith("43/house,"))).toHaveLength(total);
  expect(mostHeld).toBeLessThan(2_000_000);
}, 60_000);

it("answers that are far longer than what they answer do not pile up either", async () => {
  await using hub = await startHub({ contracts, limits: { ...noRates, unsentBytes: 200_000 } });
  const client = await new RawClient(hub.url).join("/house", { role: "host", id: "p", protocol: 1 });
  stall(client);
  const hubEnd = hubEndOf(hub, "p");
  const batch = JSON.stringify(["hub:emit", Array(250).fill([0])]);
  const total = 1_200;
  for (let n = 0; n < total; n += 1) client.send(`42/house,${n}${batch}`);
  // Whatever it has taken in by then, the hub waits for the client, and not for more from it.
  for (let [turns, answered] = [0, -1]; turns < 50; turns += 1) {
    await turn();
    const held = heldBytes(hubEnd);
    expect(held).toBeLessThan(8_000_000);
    if (held !== answered) [turns, answered] = [0, held];
  }
  readOn(client);
  await client.until((frame) => frame.startsWith(`43/house,${total - 1}[`));
  await client[Symbol.asyncDispose]();
});

it("a satellite that follows under many names and does not read has no more waiting for it than with one", async () => {
  await using hub = await startHub({ contracts, limits: { unsentBytes: 200_000 } });
  await using slow = await new RawClient(hub.url).join("/house", { role: "host", id: "slow", protocol: 1 });
  const names = Array.from({ length: 50 }, (_, n) => `f${n}`);
  for (const [n, as] of names.entries()) {
    slow.send(`42/house,${n}["hub:follow",${JSON.stringify({ as, events: ["said"] })}]`);
  }
  await slow.until((frame) => frame.startsWith(`43/house,${names.length - 1}[`));
  stall(slow);
  const hubEnd = hubEndOf(hub, "slow");
  await using speaker = await connect(hub, { role: "host", id: "s", protocol: 1, events: [] });
  const note = ["said", { id: "x".repeat(100_000) }];
  let mostHeld = 0;
  for (let n = 0; n < 20; n += 1) {
    await speaker.socket.emitWithAck("hub:emit", [note]);
    mostHeld = Math.max(mostHeld, heldBytes(hubEnd));
  }
  // Its limit, and a page beyond it; as much again is on its way to the system.
  expect(mostHeld).toBeLessThan(5_000_000);
  readOn(slow);
  for (const as of names) await slow.until((frame) => frame.includes(`"hub:deliver",{"as":"${as}"`));
});
