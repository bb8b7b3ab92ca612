import { startHub } from "../src/testing.ts";
import type { PlainClient } from "./clients.ts";
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
