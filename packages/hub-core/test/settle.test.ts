import type { Accepted, Claim, Receipt, SettledReply } from "@orrery/contracts";
import { atWork, work } from "./at-work.ts";
import { type PlainClient, refusal } from "./clients.ts";
import { startGated } from "./gated.ts";
import { connect, host } from "./house.ts";

const settle = ({ socket }: PlainClient, claims: readonly Claim[], more: object) => {
  const settles = claims.map(({ offset, token }) => ({ offset, token, outcome: "done", ...more }));
  return socket.emitWithAck("hub:settle", { group: "g", settles });
};

/** What is not kept is answered at once: the hub has all that was said before it. */
const marker = (client: PlainClient) => client.say("waved", { id: "marker" });

/** Nothing is written meanwhile. Answers what will be, and the last one, which is refused. */
async function sayUntilBusy(client: PlainClient): Promise<Promise<Receipt>[]> {
  const said: Promise<Receipt>[] = [];
  let isBusy = false;
  while (!isBusy) {
    said.push(client.say("said", { id: "x".repeat(100) }));
    void said.at(-1)?.then(({ ok }) => (isBusy = !ok));
    await marker(client);
  }
  return said;
}

const moods = (count: number) =>
  Array.from({ length: count }, (_, n) => ["mood", { who: `${n}`, mood: "good" }]);

it("nobody's event waits behind all that another connection settles: that has its share in a commit", async () => {
  await using hub = await startGated();
  const { worker, claims } = await atWork(hub, 150);
  await using _worker = worker;
  await using little = await connect(hub, { role: "guest", id: "little", protocol: 1 });
  hub.writing.shut();
  const settled = settle(worker, claims, { events: moods(1) });
  await marker(worker);
  const one = little.say("said", { id: "one" });
  await marker(little);
  hub.writing.open();
  // Of each settle there are two: what it says, and the attempt in the history of its key.
  expect(((await one) as unknown as Accepted).offset).toBeLessThan(150 + 150);
  const { replies }: { replies: SettledReply[] } = await settled;
  const offsets = replies.flatMap((reply) => (reply.ok ? reply.receipts : [])).map(({ offset }) => offset);
  expect(offsets).toHaveLength(150);
  expect(offsets).toEqual(offsets.toSorted((a, b) => Number(a) - Number(b)));
});

it("nobody's settle waits behind all that another member of the group settles", async () => {
  await using hub = await startGated();
  const { worker, claims } = await atWork(hub, 150);
  await using _worker = worker;
  await using little = await connect(hub, { ...host, id: "little", protocol: 1 });
  const given = little.next("hub:claims") as Promise<{ readonly claims: readonly Claim[] }>;
  await little.socket.emitWithAck("hub:work", { ...work, capacity: 1 });
  await little.say("hub:emit", [["said", { id: "one" }]]);
  const [one] = (await given).claims;
  hub.writing.shut();
  const settled = settle(worker, claims, { events: moods(1) });
  await marker(worker);
  const littles = settle(little, [one as Claim], { events: [["mood", { who: "little", mood: "glad" }]] });
  await marker(little);
  hub.writing.open();
  const { replies } = await littles;
  expect(replies[0].receipts[0].offset).toBeLessThan(151 + 150);
  await settled;
});

it("a settle takes as much of its share as all that is written for it, keys that are long among it", async () => {
  await using hub = await startGated();
  await using worker = await connect(hub, { ...host, protocol: 1 });
  const claims: Claim[] = [];
  worker.socket.on("hub:claims", (packet) => claims.push(...packet.claims));
  await worker.socket.emitWithAck("hub:work", { ...work, capacity: 10 });
  for (let n = 0; n < 10; n += 1) await worker.say("hub:emit", [["said", { id: `${n}`.padEnd(5_000) }]]);
  while (claims.length < 10) await worker.next("hub:claims");
  hub.writing.shut();
  const settled = settle(worker, claims, { outcome: "retry" });
  await marker(worker);
  hub.commits.length = 0;
  hub.writing.open();
  await settled;
  for (const { events, wholes } of hub.commits) {
    const values = wholes.flatMap(({ records }) => records.map(({ value }) => value));
    const written = [...values, ...events.flatMap(({ data, key }) => [data, key])];
    expect(written.join("").length).toBeLessThan(24_576);
  }
});

it("what is settled while too much waits for the disk is refused for now, and the claim is held", async () => {
  await using hub = await startGated({ queueBytes: 200 });
  const { worker, claims } = await atWork(hub, 1);
  await using _worker = worker;
  hub.writing.shut();
  const said = await sayUntilBusy(worker);
  const { replies } = await settle(worker, claims, { events: moods(1) });
  expect(replies).toEqual([refusal("HUB_BUSY")]);
  hub.writing.open();
  await Promise.all(said);
  expect(await settle(worker, claims, { events: moods(1) })).toMatchObject({ replies: [{ ok: true }] });
});

it("a message with more settles, or more events of these, than a batch may have is refused, and all claims are held", async () => {
  await using hub = await startGated({ batchEvents: 4 });
  const { worker, claims } = await atWork(hub, 4);
  await using _worker = worker;
  expect(await settle(worker, [...claims, claims[0] as Claim], {})).toEqual(refusal("BATCH_TOO_LARGE"));
  expect(await settle(worker, claims.slice(1), { events: moods(2) })).toEqual(refusal("BATCH_TOO_LARGE"));
  expect(await settle(worker, claims, { events: moods(1) })).toMatchObject({
    ok: true,
    replies: Array(4).fill({ ok: true }),
  });
});

it("a settle that comes again is answered again, and one that says something else is not", async () => {
  await using hub = await startGated();
  const { worker, claims } = await atWork(hub, 2);
  await using _worker = worker;
  const [first, second] = claims as [Claim, Claim];
  const mood = (id: string) => ({ events: [["mood", { who: "a", mood: "glad" }, { id }]] });
  const settled = await settle(worker, [first], mood("m"));
  expect(settled).toMatchObject({ replies: [{ ok: true, receipts: [{ id: "m" }] }] });
  expect(await settle(worker, [first], mood("m"))).toEqual(settled);
  const lost = { ok: true, replies: [refusal("LEASE_LOST")] };
  expect(await settle(worker, [first], {})).toEqual(lost);
  expect(await settle(worker, [first], mood("n"))).toEqual(lost);
  expect(await settle(worker, [first], { outcome: "retry" })).toEqual(lost);
  expect(await settle(worker, [{ ...first, offset: second.offset }], mood("m"))).toEqual(lost);
  expect((await hub.log.read({ after: 0 })).events.filter(({ event }) => event === "mood")).toHaveLength(1);
});

it("a group that is forgotten while settles wait for the disk leaves nothing behind", async () => {
  await using hub = await startGated();
  const { worker, claims } = await atWork(hub, 150);
  await using _worker = worker;
  hub.writing.shut();
  const settled = settle(worker, claims, { outcome: "retry" });
  await marker(worker);
  const forgotten = worker.socket.emitWithAck("hub:forget", { group: "g" });
  await marker(worker);
  hub.writing.open();
  expect((await settled).replies).toEqual(Array(150).fill(expect.objectContaining({ ok: true })));
  expect(await forgotten).toEqual({ ok: true });
  expect([...(await hub.log.records("")).keys()]).toEqual([]);
});

it("a group that is forgotten while a round of it waits for the disk leaves nothing behind", async () => {
  await using hub = await startGated();
  const { worker } = await atWork(hub, 1);
  await using _worker = worker;
  const { socket } = worker;
  const held = async () => (await socket.emitWithAck("hub:groups", {})).groups[0].held;
  await worker.say("said", { id: "more" });
  hub.writing.shut();
  const other = worker.say("mood", { who: "w", mood: "busy" });
  await marker(worker); // the log is at it
  await socket.emitWithAck("hub:work", { ...work, capacity: 2 });
  while ((await held()) < 2);
  const forgotten = socket.emitWithAck("hub:forget", { group: "g" });
  await marker(worker);
  hub.writing.open();
  expect([await forgotten, await other]).toMatchObject([{ ok: true }, { ok: true }]);
  expect([...(await hub.log.records("")).keys()]).toEqual([]);
});

it("a dead event that is redriven while its group is forgotten is neither", async () => {
  await using hub = await startGated();
  const { worker, claims } = await atWork(hub, 1);
  await using _worker = worker;
  await settle(worker, claims, { outcome: "dead" });
  hub.reading.shut();
  const redriven = worker.socket.emitWithAck("hub:redrive", { group: "g", offset: claims[0]?.offset });
  await marker(worker);
  expect(await worker.socket.emitWithAck("hub:forget", { group: "g" })).toEqual({ ok: true });
  hub.reading.open();
  expect(await redriven).toEqual(refusal("NOT_DEAD"));
  expect([...(await hub.log.records("")).keys()]).toEqual([]);
});

it("a settle of which nothing comes does not overtake what its connection has said before", async () => {
  await using hub = await startGated();
  await using worker = await connect(hub, { ...host, protocol: 1 });
  const claimed = worker.next("hub:claims");
  await worker.socket.emitWithAck("hub:work", { group: "g", events: ["free"], capacity: 1 });
  await worker.say("free", { value: "an event without a key, whose attempts nobody is told of" });
  const { claims } = (await claimed) as { claims: readonly [Claim] };
  const [{ offset, token }] = claims;
  const before = hub.commits.length;
  const claim = { group: "g", offset, token };
  const entries = Array.from({ length: 100 }, (_, n) => ["said", { id: `${n}` }, { claim }]);
  const said = worker.socket.emitWithAck("hub:emit", entries);
  expect(await settle(worker, claims, {})).toMatchObject({ replies: [{ ok: true }] });
  await said;
  const commits = hub.commits.slice(before);
  const settled = commits.findIndex(({ wholes }) =>
    wholes.some(({ records }) => records.some(({ value }) => value === null)),
  );
  const saidBy = commits.slice(0, settled + 1).flatMap(({ events }) => events);
  expect(saidBy.filter(({ event }) => event === "said")).toHaveLength(100);
});

it("an event that is gone keeps no other claims of its round from their members, however busy the disk is", async () => {
  const requests = {
    requestsPerSecond: 100_000,
    requestsAtOnce: 100_000,
    requestsPerSecondPerSatellite: 100_000,
  };
  await using hub = await startGated({ queueBytes: 200, graceMs: 1, ...requests });
  const group = { group: "g", events: ["said", "mood"], backoffMs: 0 };
  await using asker = await connect(hub, { ...host, id: "asker", protocol: 1 });
  const held = async (): Promise<number> => (await asker.socket.emitWithAck("hub:groups", {})).groups[0].held;
  {
    await using worker = await connect(hub, { ...host, protocol: 1 });
    await worker.socket.emitWithAck("hub:work", { ...group, capacity: 2 });
    await worker.say("mood", { who: "w", mood: "good" });
    while ((await held()) < 1);
    await worker.say("mood", { who: "w", mood: "better" }); // in its place
    await worker.say("said", { id: "a" });
    while ((await held()) < 2);
  }
  while ((await held()) > 0); // they wait
  await using worker = await connect(hub, { ...host, protocol: 1 });
  await using other = await connect(hub, { role: "guest", id: "other", protocol: 1 });
  const offsets: number[] = [];
  const claimed = new Promise<void>((resolve) => {
    worker.socket.on("hub:claims", ({ claims }: { claims: readonly Claim[] }) => {
      offsets.push(...claims.map(({ offset }) => offset));
      if (offsets.includes(3)) resolve();
    });
  });
  hub.reading.shut();
  await worker.socket.emitWithAck("hub:work", { ...group, capacity: 10 });
  while ((await held()) < 2);
  hub.writing.shut();
  const said = await sayUntilBusy(other);
  hub.reading.open();
  await claimed;
  expect(offsets).not.toContain(1);
  hub.writing.open();
  await Promise.all(said);
});

it("a dead event that is redriven while the hub closes is so later", async () => {
  await using hub = await startGated();
  const { worker, claims } = await atWork(hub, 1);
  await using _worker = worker;
  await settle(worker, claims, { outcome: "dead" });
  hub.writing.shut();
  const said = worker.say("mood", { who: "w", mood: "busy" });
  await marker(worker);
  hub.reading.shut();
  const redriven = worker.socket.emitWithAck("hub:redrive", { group: "g", offset: claims[0]?.offset });
  await marker(worker);
  const stopping = hub.stop(); // what was said has to be written before
  hub.reading.open();
  expect(await redriven).toEqual(refusal("HUB_CLOSING"));
  hub.writing.open();
  await Promise.all([said, stopping]);
});
