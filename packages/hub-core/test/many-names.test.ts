import type { Claim, GroupStatus, Meta, Parked } from "@orrery/contracts";
import { startHub, type TestHub } from "../src/testing.ts";
import { PlainClient, refusal } from "./clients.ts";
import { startGated } from "./gated.ts";
import { connect, contracts, host, house } from "./house.ts";
import { range } from "./numbers.ts";

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

it("who follows under a name in the moment in which it is forgotten is told so", async () => {
  await using hub = await startHub({ contracts });
  {
    await using client = await connect(hub, batched);
    await client.socket.emitWithAck("hub:follow", follow("f"));
  }
  await hub.stop();
  await hub.start(); // so that both wait until the hub has read its names
  await using client = await connect(hub, batched);
  const ended = client.next("hub:unfollowed");
  const followed = client.socket.emitWithAck("hub:follow", follow("f"));
  expect(await client.socket.emitWithAck("hub:forget", { as: "f" })).toEqual({ ok: true });
  expect(await followed).toMatchObject({ ok: true });
  expect(await ended).toMatchObject({ as: "f", error: { code: "FOLLOWER_UNKNOWN" } });
});

describe("what is parked", () => {
  const noRequestRates = {
    requestsPerSecond: 1_000_000,
    requestsAtOnce: 1_000_000,
    requestsPerSecondPerSatellite: 1_000_000,
  };

  /** Follows as `f` what is said from now on, and parks what it is delivered, with that error, where there is one. */
  async function followAs(client: PlainClient, handler: { error?: string }) {
    const { socket } = client;
    let attempts = 0;
    let isEnded = false;
    socket.on("hub:deliver", ({ events }: { events: [string, unknown, Meta][] }, answer) => {
      attempts += 1;
      const { error } = handler;
      answer(
        error === undefined
          ? {}
          : { parked: events.map(([, , { offset }]) => ({ offset, attempts, error })) },
      );
    });
    socket.on("hub:unfollowed", () => {
      isEnded = true;
    });
    const parked = async (after = 0): Promise<Parked[]> =>
      (await socket.emitWithAck("hub:parked", { as: "f", after })).parked;
    expect(await askAll(client, "hub:follow", [follow("f")])).toEqual(["ok"]);
    return {
      parked,
      /** Whether so many are parked in the end; if not, the follower was ended before. */
      hasParked: async (count: number) => {
        while (!isEnded && (await parked()).length !== count);
        return !isEnded;
      },
      redrive: async (offset: number) => {
        const attempt = attempts + 1;
        expect(await socket.emitWithAck("hub:redrive", { as: "f", offset })).toEqual({ ok: true });
        const isDue = (one: Parked) => one.offset === offset && one.attempts !== attempt;
        while ((await parked()).some(isDue));
      },
    };
  }

  async function speak(hub: TestHub, count: number, text: string): Promise<void> {
    await using speaker = await connect(hub, { ...host, id: "speaker" });
    for (let n = 0; n < count; n += 1) await speaker.say("said", { id: "a", text });
  }

  it("counts for its own satellite, once however often it was redriven, and no more when it was handled", async () => {
    const text = "x".repeat(1_000);
    await using hub = await startHub({ contracts, limits: { ...noRequestRates, parkedBytes: 6_000 } }); // four of them
    for (const [place, id] of ["one", "another"].entries()) {
      await using client = await connect(hub, { ...batched, id });
      const handler: { error?: string } = { error: "no" };
      const { parked, hasParked, redrive } = await followAs(client, handler);
      const first = 14 * place + 1;
      await speak(hub, 3, text);
      expect(await hasParked(3)).toBe(true);
      for (let time = 0; time < 10; time += 1) await redrive(first);
      expect((await parked()).map(({ offset }) => offset)).toEqual([first, first + 1, first + 2]);
      await speak(hub, 1, text);
      expect(await hasParked(4)).toBe(true);
      delete handler.error;
      for (const { offset } of await parked()) await redrive(offset);
      expect(await parked()).toEqual([]);
      handler.error = "no";
      await speak(hub, 4, text);
      expect(await hasParked(4)).toBe(true);
      await speak(hub, 6, text);
      expect(await hasParked(10)).toBe(false);
      const { followers } = await client.socket.emitWithAck("hub:followers", {});
      expect(followers).toMatchObject([{ as: "f", isConnected: false }]);
    }
  });

  it("counts with what is told of it when it was redriven: the follower that tells too much is ended", async () => {
    await using hub = await startHub({ contracts, limits: { ...noRequestRates, parkedBytes: 2_000 } });
    await using client = await connect(hub, batched);
    const handler = { error: "no" };
    const { parked, hasParked, redrive } = await followAs(client, handler);
    await speak(hub, 3, "x");
    expect(await hasParked(3)).toBe(true);
    handler.error = "\0".repeat(1_000); // as JSON 6,000
    await redrive(1);
    const ended = client.next("hub:unfollowed");
    await client.socket.emitWithAck("hub:redrive", { as: "f", offset: 2 });
    expect(await ended).toMatchObject({ as: "f", error: { code: "PARKED_TOO_MANY" } });
    expect((await parked(1)).map(({ offset, error }) => [offset, error])).toEqual([
      [2, "no"],
      [3, "no"],
    ]);
  });

  it("ends nobody who has taken the name over meanwhile", async () => {
    await using hub = await startGated({ parkedBytes: 1 });
    await using older = await connect(hub, batched);
    await using newer = await connect(hub, batched);
    const delivered = new Promise<(answer: object) => void>((resolve) =>
      older.socket.on("hub:deliver", (_, answer) => resolve(answer)),
    );
    await speak(hub, 2, "x");
    await older.socket.emitWithAck("hub:follow", { ...follow("f"), from: "start" });
    const answer = await delivered;
    hub.reading.shut();
    const parked = [1, 2].map((offset) => ({ offset, attempts: 1, error: "no" }));
    answer({ parked }); // the second is one too many
    await older.say("waved", { id: "marker" });
    let isEnded = false;
    newer.socket.on("hub:unfollowed", () => {
      isEnded = true;
    });
    const heard: number[] = [];
    newer.socket.on("hub:deliver", ({ events }, answer) => {
      heard.push(...events.map(([, , { offset }]: [string, unknown, { offset: number }]) => offset));
      answer({});
    });
    expect(await newer.socket.emitWithAck("hub:follow", follow("f"))).toMatchObject({ ok: true });
    hub.reading.open();
    await speak(hub, 1, "x");
    while (!heard.includes(3)) await newer.next("hub:deliver");
    expect(isEnded).toBe(false);
  });

  it("is named once in an answer, which else counts for nothing", async () => {
    await using hub = await startHub({ contracts });
    await using client = await connect(hub, batched);
    const { socket } = client;
    const delivered = new Promise<(answer: object) => void>((resolve) =>
      socket.on("hub:deliver", (_, answer) => resolve(answer)),
    );
    await speak(hub, 2, "x");
    await socket.emitWithAck("hub:follow", { ...follow("f"), from: "start" });
    const failed = [1, 2, 1].map((offset) => ({ offset, attempts: 1, error: "no" }));
    (await delivered)({ parked: failed });
    const { followers } = await socket.emitWithAck("hub:followers", {});
    expect(followers).toMatchObject([{ parked: 0, lag: 2 }]);
  });

  it("has its share of a commit, as what is said has", async () => {
    await using hub = await startGated(noRequestRates);
    await using client = await connect(hub, batched);
    await using other = await connect(hub, { ...host, id: "other" });
    const { socket } = client;
    await speak(hub, 1, "x".repeat(3_000));
    const answers: ((answer: object) => void)[] = [];
    socket.on("hub:deliver", (_, answer) => answers.push(answer));
    const names = numbered(20, (as) => ({ ...follow(as), from: "start" }));
    await askAll(client, "hub:follow", names);
    while (answers.length < names.length) await client.next("hub:deliver");
    hub.writing.shut();
    for (const answer of answers) answer({ parked: [{ offset: 1, attempts: 1, error: "no" }] });
    const areParked = async () => {
      const { followers } = await socket.emitWithAck("hub:followers", {});
      return followers.every(({ parked }: { readonly parked: number }) => parked === 1);
    };
    while (!(await areParked()));
    const one = other.say("said", { id: "one" });
    await other.say("waved", { id: "marker" });
    hub.commits.length = 0;
    hub.writing.open();
    await one;
    // The first one was on its way when the other one spoke.
    expect(hub.commits.findIndex(({ events }) => events.length > 0)).toBe(1);
    for (const { wholes } of hub.commits) {
      const values = wholes.flatMap(({ records }) => records.map(({ value }) => value));
      expect(values.join("").length).toBeLessThan(24_576);
    }
  });

  it("counts as what is said", async () => {
    await using hub = await startHub({
      contracts,
      limits: { ...noRequestRates, eventsPerSecond: 1, eventsAtOnce: 30 },
    });
    await using client = await connect(hub, batched);
    const { socket } = client;
    await speak(hub, 20, "x");
    const delivered = new Promise<(answer: object) => void>((resolve) =>
      socket.on("hub:deliver", (_, answer) => resolve(answer)),
    );
    await socket.emitWithAck("hub:follow", { ...follow("f"), from: "start" });
    const answer = await delivered;
    const say = () => client.say("said", { id: "a" });
    for (let n = 0; n < 12; n += 1) expect(await say()).toMatchObject({ ok: true });
    answer({ parked: range(0, 20).map((offset) => ({ offset, attempts: 1, error: "no" })) });
    while ((await socket.emitWithAck("hub:parked", { as: "f" })).parked.length < 20);
    expect(await say()).toMatchObject({ error: { code: "RATE_LIMITED" } });
  });

  it.each(["reading", "writing"] as const)(
    "leaves nothing behind where its name is forgotten while the log is %s it",
    async (gate) => {
      await using hub = await startGated();
      await using client = await connect(hub, batched);
      const { socket } = client;
      const delivered = new Promise<(answer: object) => void>((resolve) =>
        socket.on("hub:deliver", (_, answer) => resolve(answer)),
      );
      await speak(hub, 1, "x");
      await socket.emitWithAck("hub:follow", { ...follow("f"), from: "start" });
      const answer = await delivered;
      hub[gate].shut();
      answer({ parked: [{ offset: 1, attempts: 1, error: "no" }] });
      await client.say("waved", { id: "marker" });
      const forgotten = socket.emitWithAck("hub:forget", { as: "f" });
      await client.say("waved", { id: "marker" });
      hub[gate].open();
      expect(await forgotten).toEqual({ ok: true });
      expect(await socket.emitWithAck("hub:follow", follow("f"))).toMatchObject({ ok: true }); // it is written in its order
      expect([...(await hub.log.records("parked/")).keys()]).toEqual([]);
    },
  );

  it("is listed, too, where one of it is longer than a message", async () => {
    await using hub = await startHub({ contracts, limits: { ...noRequestRates, messageBytes: 2_000 } });
    await using client = await connect(hub, batched);
    const { parked } = await followAs(client, { error: "x".repeat(1_000) });
    await speak(hub, 2, "x".repeat(1_400));
    const offsets: number[] = [];
    while (offsets.length < 2) offsets.push(...(await parked(offsets.at(-1))).map(({ offset }) => offset));
    expect(offsets).toEqual([1, 2]);
  });
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

/** Works in the group. What it answers, once called, resolves when so many claims have come. */
async function workIn({ socket }: PlainClient, group: string, count: number): Promise<() => Promise<void>> {
  let come = 0;
  const all = new Promise<void>((resolve) => {
    socket.on("hub:claims", (packet) => {
      if (packet.group === group) come += packet.claims.length;
      if (come >= count) resolve();
    });
  });
  const request = { ...work(group), from: "start", capacity: 10, leaseMs: 600_000 };
  expect(await socket.emitWithAck("hub:work", request)).toMatchObject({ ok: true });
  return () => all;
}

it("claims of all groups that one satellite was the first to name are bounded together, over a restart too", async () => {
  await using hub = await startHub({ contracts, limits: { claimsPerSatellite: 3 } });
  const come = (id: string) => connect(hub, { ...batched, id });
  const claimsOf = async ({ socket }: PlainClient) => {
    const { groups } = (await socket.emitWithAck("hub:groups", {})) as { groups: GroupStatus[] };
    return Object.fromEntries(groups.map(({ group, waiting, held, dead }) => [group, waiting + held + dead]));
  };
  {
    await using client = await come("h");
    await using other = await come("other");
    for (const id of ["a", "b", "c", "d", "e"]) await other.say("said", { id });
    await (await workIn(client, "one", 3))();
    await workIn(client, "two", 3);
    await (await workIn(other, "other", 3))();
    expect(await claimsOf(client)).toEqual({ one: 3, two: 0, other: 3 });
  }
  await hub.stop();
  await hub.start();
  await using client = await come("h");
  await using other = await come("another");
  const claimed = await workIn(client, "two", 3);
  await (await workIn(other, "another", 3))();
  expect(await claimsOf(client)).toEqual({ one: 3, two: 0, other: 3, another: 3 });
  await client.socket.emitWithAck("hub:forget", { group: "one" });
  await claimed();
});

it("claims of all groups are bounded: where there are so many, who has more than an equal part waits", async () => {
  await using hub = await startHub({ contracts, limits: { claims: 4 } });
  await using one = await connect(hub, { ...batched, id: "one" });
  await using two = await connect(hub, { ...batched, id: "two" });
  for (const id of ["a", "b", "c", "d", "e"]) await one.say("said", { id });
  const held = async () => {
    const { groups } = (await one.socket.emitWithAck("hub:groups", {})) as { groups: GroupStatus[] };
    return Object.fromEntries(groups.map(({ group, waiting, held }) => [group, waiting + held]));
  };
  await (await workIn(one, "g1", 4))();
  expect(await held()).toEqual({ g1: 4 });
  const firstTwo = two.next("hub:claims");
  const allFour = await workIn(two, "g2", 4);
  await firstTwo;
  expect(await held()).toEqual({ g1: 4, g2: 2 });
  await one.socket.emitWithAck("hub:forget", { group: "g1" });
  await allFour();
  expect(await held()).toEqual({ g2: 4 });
});

it("a group that waited goes on when its part has grown, though nobody says anything", async () => {
  await using hub = await startHub({ contracts, limits: { claims: 6 } });
  await using one = await connect(hub, { ...batched, id: "one" });
  await using two = await connect(hub, { ...batched, id: "two" });
  await using three = await connect(hub, { ...batched, id: "three" });
  for (const id of ["a", "b", "c", "d", "e", "f"]) await one.say("said", { id });
  const idle = { ...work("g3"), events: ["mood"] };
  expect(await three.socket.emitWithAck("hub:work", idle)).toMatchObject({ ok: true });
  await (await workIn(one, "g1", 6))();
  const firstTwo = two.next("hub:claims");
  const allThree = await workIn(two, "g2", 3);
  expect(await firstTwo).toMatchObject({ claims: [{ offset: 1 }, { offset: 2 }] });
  await three.socket.emitWithAck("hub:forget", { group: "g3" });
  await allThree();
});

it("a group that waited for the claims of others to end goes on when they have, though nobody says anything", async () => {
  await using hub = await startHub({ contracts, limits: { claimsPerSatellite: 3 } });
  await using client = await connect(hub, batched);
  const claims: Claim[] = [];
  client.socket.on("hub:claims", (packet) => claims.push(...packet.claims));
  for (const id of ["a", "b", "c"]) await client.say("said", { id });
  await (await workIn(client, "one", 3))();
  const claimed = await workIn(client, "two", 3);
  const settles = claims.map(({ offset, token }) => ({ offset, token, outcome: "done" }));
  expect(settles).toHaveLength(3);
  await client.socket.emitWithAck("hub:settle", { group: "one", settles });
  await claimed();
});

it("a group that waited for them goes on with a key that was passed over, too", async () => {
  await using hub = await startHub({ contracts, limits: { claimsPerSatellite: 2, keyWaiting: 1 } });
  await using client = await connect(hub, batched);
  const { socket } = client;
  const claims: Claim[] = [];
  socket.on("hub:claims", (packet) => claims.push(...packet.claims));
  const settleAll = async (group: string) => {
    const settles = claims.splice(0).map(({ offset, token }) => ({ offset, token, outcome: "done" }));
    expect((await socket.emitWithAck("hub:settle", { group, settles })).ok).toBe(true);
  };
  const join = async (group: string, event: string, capacity: number) =>
    socket.emitWithAck("hub:work", { ...work(group), events: [event], capacity });
  await join("passing", "said", 10);
  await join("full", "mood", 10);
  const claimed = client.next("hub:claims");
  const long = { id: "k".repeat(10_000) }; // so long that no other key may be behind beside it
  await socket.emitWithAck("hub:emit", [
    ["said", long],
    ["said", long],
  ]);
  await claimed;
  await join("passing", "said", 0);
  await settleAll("passing");
  for (const who of ["a", "b"]) await client.say("mood", { who, mood: "good" });
  while (claims.length < 2) await client.next("hub:claims");
  await join("passing", "said", 10);
  const again = client.next("hub:claims");
  await settleAll("full");
  expect(await again).toMatchObject({ group: "passing", claims: [{ offset: 2 }] });
});

it.each([{ keysPassedOver: 1 }, { keysPassedOverLength: 3 }])(
  "a group that has passed over as many keys, or as long ones, as it may looks at no more: %j",
  async (limits) => {
    await using hub = await startHub({ contracts, limits: { keyWaiting: 1, ...limits } });
    await using client = await connect(hub, batched);
    await client.socket.emitWithAck("hub:work", { ...work("g"), capacity: 10 });
    const claimed = client.next("hub:claims");
    const entries = ["hot", "hot", "other"].map((id) => ["said", { id }]); // one page, of which all is looked at in one go
    await client.socket.emitWithAck("hub:emit", entries);
    expect(await claimed).toMatchObject({ claims: [{ offset: 1 }] });
  },
);

it("a group keeps the name of an event once, however often it was said", async () => {
  await using hub = await startHub({ contracts });
  await using client = await connect(hub, batched);
  const events = [...times("said", 500), "mood", ...times("said", 499)];
  expect(await askAll(client, "hub:work", [{ ...work("g"), events }])).toEqual(["ok"]);
  const { groups } = await client.socket.emitWithAck("hub:groups", {});
  expect(groups).toMatchObject([{ events: ["said", "mood"] }]);
});

it("rooms are looked for in an event once, however often its name was said", async () => {
  let looks = 0;
  const whispered = Object.defineProperty({ ...house.events.whispered }, "rooms", {
    get: () => {
      looks += 1;
      return house.events.whispered.rooms;
    },
  });
  await using hub = await startHub({
    contracts: [{ ...house, events: { ...house.events, whispered } }],
  });
  await using client = await connect(hub, batched);
  const request = { events: times("whispered", 1_000), rooms: ["guest:g"] };
  for (const [message, more] of [
    ["hub:listen", {}],
    ["hub:follow", { as: "f" }],
    ["hub:work", { group: "g", capacity: 1 }],
  ] as const) {
    looks = 0;
    expect(await askAll(client, message, [{ ...request, ...more }])).toEqual(["ok"]);
    expect(looks).toBeLessThan(100);
  }
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
