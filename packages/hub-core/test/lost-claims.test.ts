import type { Claim } from "@orrery/contracts";
import type { Limits } from "../src/limits.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import type { PlainClient } from "./clients.ts";
import { startGated } from "./gated.ts";
import { connect, contracts, host } from "./house.ts";
import { range } from "./numbers.ts";

const batched = { ...host, protocol: 1 };

async function speak(hub: TestHub, count: number): Promise<void> {
  await using speaker = await connect(hub, { ...batched, id: "speaker" });
  const entries = range(0, count).map((n) => ["said", { id: `${n}` }]);
  for (let from = 0; from < count; from += 250)
    await speaker.socket.emitWithAck("hub:emit", entries.slice(from, from + 250));
}

/** Works in the group; says, unless it is silent, that it is there whatever it has lost. */
async function workIn(client: PlainClient, group: string, capacity: number, { isSilent = false } = {}) {
  const claims: Claim[] = [];
  const isOurs = (packet: { readonly group: string }) => packet.group === group;
  client.socket.on("hub:claims", (packet) => isOurs(packet) && claims.push(...packet.claims));
  client.socket.on("hub:lost", (packet) => {
    if (isOurs(packet) && !isSilent) client.socket.emit("hub:hold", { group, claims: [] });
  });
  const terms = { from: "start", leaseMs: 100, attempts: 1_000, backoffMs: 0 };
  const request = { group, events: ["said"], capacity, ...terms };
  expect(await client.socket.emitWithAck("hub:work", request)).toMatchObject({ ok: true });
  return claims;
}

it("who lets too many claims run out is given no more for a while, and others are", async () => {
  const limits: Partial<Limits> = { lostClaimsPerSecond: 1, lostClaimsAtOnce: 20 };
  await using hub = await startHub({ contracts, limits });
  await using idle = await connect(hub, { ...batched, id: "idle" });
  await using other = await connect(hub, { ...batched, id: "other" });
  await speak(hub, 10);
  const ofIdle = await workIn(idle, "g", 10);
  while (ofIdle.length < 20) await idle.next("hub:claims");
  const lost = idle.next("hub:lost");
  const ofOther = await workIn(other, "g", 10);
  await lost;
  while (ofOther.length < 20) await other.next("hub:claims");
  // A second time around it would have had some of them.
  expect(ofIdle.length).toBeLessThanOrEqual(22);
});

it("who is silent is given nothing more, also when that is over", async () => {
  await using hub = await startHub({
    contracts,
    limits: { lostClaimsPerSecond: 1_000, lostClaimsAtOnce: 1 },
  });
  await using silent = await connect(hub, { ...batched, id: "silent" });
  await using other = await connect(hub, { ...batched, id: "other" });
  await speak(hub, 4);
  const ofSilent = await workIn(silent, "g", 10, { isSilent: true });
  await silent.next("hub:lost");
  const ofOther = await workIn(other, "g", 10);
  while (ofOther.length < 12) await other.next("hub:claims"); // each time a lease later
  expect(ofSilent).toHaveLength(4);
});

it("what ran out while the hub was away is nobody's loss", async () => {
  await using hub = await startHub({ contracts, limits: { lostClaimsPerSecond: 1, lostClaimsAtOnce: 1 } });
  await speak(hub, 60);
  {
    await using worker = await connect(hub, { ...batched, id: "worker" });
    const before = await workIn(worker, "g", 60);
    while (before.length < 60) await worker.next("hub:claims");
    await hub.stop();
  }
  await hub.start();
  await using again = await connect(hub, { ...batched, id: "worker" });
  const after = await workIn(again, "g", 60);
  while (after.length < 60) await again.next("hub:claims");
});

it("what a satellite's groups hand out has its share of a commit", async () => {
  await using hub = await startGated({ requestsAtOnce: 1_000 });
  await using worker = await connect(hub, { ...batched, id: "worker" });
  await using other = await connect(hub, { ...host, id: "other" });
  hub.writing.shut();
  const spoken = speak(hub, 250);
  hub.writing.open();
  await spoken;
  const groups = range(0, 20).map((n) => `g${n}`);
  const claims = await Promise.all(groups.map((group) => workIn(worker, group, 0)));
  hub.writing.shut();
  void other.say("said", { id: "first" });
  await other.say("waved", { id: "marker" });
  await Promise.all(groups.map((group) => workIn(worker, group, 250)));
  const one = other.say("said", { id: "one" });
  await other.say("waved", { id: "marker" });
  hub.commits.length = 0;
  hub.writing.open();
  await one;
  const handedOver = hub.commits.map(({ wholes }) => wholes.flatMap(({ records }) => records).length);
  expect(Math.max(...handedOver)).toBeLessThan(300);
  while (claims.some((all) => all.length < 250)) await worker.next("hub:claims");
});

it("what a group hands out and what is settled in it are written in their order, whatever their shares", async () => {
  await using hub = await startGated({ requestsAtOnce: 1_000 });
  await using worker = await connect(hub, { ...batched, id: "worker" });
  await using other = await connect(hub, { ...host, id: "other" });
  await speak(hub, 250);
  const groups = range(0, 5).map((n) => `g${n}`);
  const claims = await Promise.all(groups.map((group) => workIn(worker, group, 1)));
  while (claims.some((all) => all.length < 1)) await worker.next("hub:claims");
  hub.writing.shut();
  void other.say("said", { id: "first" });
  await other.say("waved", { id: "marker" });
  await Promise.all(groups.map((group) => workIn(worker, group, 250)));
  const settled = groups.map((group, place) => {
    const [{ offset, token }] = claims[place] as [Claim];
    return worker.socket.emitWithAck("hub:settle", { group, settles: [{ offset, token, outcome: "done" }] });
  });
  await other.say("waved", { id: "marker" });
  hub.commits.length = 0;
  hub.writing.open();
  await Promise.all(settled);
  const written = hub.commits.flatMap(({ wholes }) => wholes.flatMap(({ records }) => records));
  for (const group of groups) {
    const name = `claim/house/host/${group}/1`;
    const isOurs = (one: { readonly name: string }) => one.name.startsWith(`claim/house/host/${group}/`);
    const [round, end] = [written.findIndex(isOurs), written.findIndex((one) => one.name === name)];
    expect(written[end]).toEqual({ name, value: null });
    expect(round).toBeLessThan(end);
  }
});
