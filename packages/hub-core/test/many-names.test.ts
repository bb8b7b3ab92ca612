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
