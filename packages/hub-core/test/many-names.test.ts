import { startHub } from "../src/testing.ts";
import { PlainClient, refusal } from "./clients.ts";
import { connect, contracts, host } from "./house.ts";

const batched = { ...host, protocol: 1 };

/** Asks for all of them before any is answered: the codes, or `ok`. */
async function askAll({ socket }: PlainClient, message: string, requests: readonly object[]) {
  const replies = await Promise.all(requests.map((request) => socket.emitWithAck(message, request)));
  return replies.map((reply) => (reply.ok ? "ok" : reply.error.code));
}

const times = (answer: string, count: number) => Array(count).fill(answer);
const follow = (as: string) => ({ as, events: ["said"] });
const work = (group: string) => ({ group, events: ["said"], capacity: 1 });
const numbered = (count: number, request: (name: string) => object) =>
  Array.from({ length: count }, (_, place) => request(`n${place}`));

it("names that are asked for at once are bounded like those that are there", async () => {
  await using hub = await startHub({ contracts, limits: { followers: 3 } });
  await using client = await connect(hub, batched);
  const asked = numbered(20, follow);
  expect(await askAll(client, "hub:follow", asked)).toEqual([
    ...times("ok", 3),
    ...times("FOLLOWERS_TOO_MANY", 17),
  ]);
  const { followers } = await client.socket.emitWithAck("hub:followers", {});
  expect(followers).toHaveLength(3);
  expect(await askAll(client, "hub:follow", [follow("n0"), follow("new")])).toEqual([
    "ok",
    "FOLLOWERS_TOO_MANY",
  ]);
  await using other = await connect(hub, { ...batched, id: "other" });
  expect(await askAll(other, "hub:follow", numbered(4, follow))).toEqual([
    ...times("ok", 3),
    "FOLLOWERS_TOO_MANY",
  ]);
});

it("one name that is asked for many times at once is one", async () => {
  await using hub = await startHub({ contracts, limits: { followers: 1, groups: 1 } });
  await using client = await connect(hub, batched);
  await using other = await connect(hub, { ...batched, id: "other" });
  expect(await askAll(client, "hub:follow", [follow("a"), follow("a"), follow("a")])).toEqual(times("ok", 3));
  const worked = [client, other, client].map((one) => askAll(one, "hub:work", [work("g")]));
  expect((await Promise.all(worked)).flat()).toEqual(times("ok", 3));
  const { groups } = await client.socket.emitWithAck("hub:groups", {});
  expect(groups.map(({ members }: { members: object[] }) => members.length)).toEqual([2]);
});

it("what a satellite's followers have parked is bounded, over a restart too, and listed page by page", async () => {
  const limits = { parkedBytes: 3_000, messageBytes: 2_000 };
  await using hub = await startHub({ contracts, limits });
  const parkAll = async (client: PlainClient, as: string) => {
    client.socket.on("hub:deliver", ({ events }, answer) => {
      const entries = events as readonly [string, unknown, { readonly offset: number }][];
      answer({ parked: entries.map(([, , { offset }]) => ({ offset, attempts: 1, error: "no" })) });
    });
    const ended = client.next("hub:unfollowed");
    expect(await askAll(client, "hub:follow", [{ ...follow(as), from: "start" }])).toEqual(["ok"]);
    return ended;
  };
  const tooMany = { error: { code: "PARKED_TOO_MANY" } };
  await using speaker = await connect(hub, { ...host, id: "speaker" });
  for (let count = 0; count < 20; count += 1) await speaker.say("said", { id: "a", text: "x".repeat(100) });
  {
    await using client = await connect(hub, batched);
    expect(await parkAll(client, "f")).toMatchObject({ as: "f", ...tooMany });
    const pages: number[][] = [];
    for (let after = 0; ; after = pages.at(-1)?.at(-1) ?? 0) {
      const { parked } = await client.socket.emitWithAck("hub:parked", { as: "f", after });
      if (parked.length === 0) break;
      expect(JSON.stringify(parked).length).toBeLessThan(2_100);
      pages.push(parked.map(({ offset }: { offset: number }) => offset));
    }
    expect(pages.length).toBeGreaterThan(1);
    expect(pages.flat()).toEqual(Array.from({ length: pages.flat().length }, (_, place) => place + 1));
    expect(pages.flat().length).toBeLessThan(12);
    expect(await parkAll(client, "g")).toMatchObject({ as: "g", ...tooMany });
  }
  await hub.stop();
  await hub.start();
  await using client = await connect(hub, batched);
  expect(await parkAll(client, "h")).toMatchObject({ as: "h", ...tooMany });
  const { followers } = await client.socket.emitWithAck("hub:followers", {});
  expect(followers).toMatchObject([{ as: "f" }, { as: "g", parked: 0 }, { as: "h", parked: 0 }]);
  await client.socket.emitWithAck("hub:forget", { as: "f" });
  expect(await parkAll(client, "h")).toMatchObject({ as: "h", ...tooMany });
  const again = await client.socket.emitWithAck("hub:parked", { as: "h" });
  expect(again.parked[0]).toMatchObject({ offset: 1 });
});

it("a new name that two connections ask for at once is one of them's: it tells the other", async () => {
  await using hub = await startHub({ contracts });
  await using first = await connect(hub, batched);
  await using second = await connect(hub, batched);
  const told = Promise.race([first, second].map((client) => client.next("hub:unfollowed")));
  expect(
    await Promise.all([first, second].map((client) => askAll(client, "hub:follow", [follow("a")]))),
  ).toEqual([["ok"], ["ok"]]);
  expect(await told).toMatchObject({ as: "a", error: { code: "FOLLOWER_TAKEN_OVER" } });
});

it("groups are bounded in all, also when they are asked for at once", async () => {
  await using hub = await startHub({ contracts, limits: { groups: 3 } });
  await using client = await connect(hub, batched);
  expect(await askAll(client, "hub:work", numbered(20, work))).toEqual([
    ...times("ok", 3),
    ...times("GROUPS_TOO_MANY", 17),
  ]);
});

it("groups that one satellite was the first to name are bounded by themselves; it may work in others", async () => {
  await using hub = await startHub({ contracts, limits: { groupsPerSatellite: 2 } });
  await using client = await connect(hub, batched);
  await using other = await connect(hub, { ...batched, id: "other" });
  expect(await askAll(client, "hub:work", numbered(5, work))).toEqual([
    ...times("ok", 2),
    ...times("GROUPS_TOO_MANY", 3),
  ]);
  expect(await askAll(other, "hub:work", [work("theirs"), work("n0")])).toEqual(times("ok", 2));
  expect(await askAll(client, "hub:work", [work("theirs"), work("mine")])).toEqual(["ok", "GROUPS_TOO_MANY"]);
  await client.socket.emitWithAck("hub:forget", { group: "n1" });
  expect(await askAll(client, "hub:work", [work("mine")])).toEqual(["ok"]);
});

it("a group keeps the name of an event once, however often it was said", async () => {
  await using hub = await startHub({ contracts });
  await using client = await connect(hub, batched);
  const events = [...times("said", 500), "mood", ...times("said", 499)];
  expect(await askAll(client, "hub:work", [{ ...work("g"), events }])).toEqual(["ok"]);
  const { groups } = await client.socket.emitWithAck("hub:groups", {});
  expect(groups).toMatchObject([{ events: ["said", "mood"] }]);
});

describe("the name of a room that is asked for is bounded in", () => {
  const limits = { roomLength: 50 };
  const roomOf = (length: number) => "guest:".padEnd(length, "x");

  it.each([
    ["hub:listen", {}],
    ["hub:follow", { as: "f" }],
    ["hub:work", { group: "g", capacity: 1 }],
  ])("%s", async (message, request) => {
    await using hub = await startHub({ contracts, limits });
    await using client = await connect(hub, batched);
    const requests = [50, 51].map((length) => ({
      ...request,
      events: ["whispered"],
      rooms: [roomOf(length)],
    }));
    expect(await askAll(client, message, requests)).toEqual(["ok", "ROOM_INVALID"]);
  });

  it("a handshake", async () => {
    await using hub = await startHub({ contracts, limits });
    await using _client = await connect(hub, { ...host, rooms: [roomOf(50)] });
    await using other = new PlainClient(`${hub.url}/house`, { ...host, rooms: [roomOf(51)] });
    expect(await other.refused()).toEqual(refusal("ROOM_INVALID").error);
  });
});
