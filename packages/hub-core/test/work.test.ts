import { setImmediate as turn } from "node:timers/promises";
import type { Claim, GroupStatus, HistoryEntry, Receipt, SettledReply } from "@orrery/contracts";
import type { HubSocket } from "../src/audience.ts";
import { mostGiven } from "../src/claims.ts";
import { unsentBytes } from "../src/connection.ts";
import { defaultLimits } from "../src/limits.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { PlainClient, refusal } from "./clients.ts";
import { connect, contracts, host, noRates } from "./house.ts";
import { hubEndOf, readOn, stall } from "./stall.ts";

const start = (options: object = {}) => startHub({ contracts, ...options });
const ok = expect.objectContaining({ ok: true });

interface Page {
  readonly entries: readonly HistoryEntry[];
  readonly next?: string;
}

/** A guest that works, by hand. */
class Worker extends PlainClient {
  readonly claims: Claim[] = [];
  readonly lost: number[] = [];
  #wake: () => void = () => undefined;

  constructor(hub: TestHub, id: string, role = "guest") {
    super(`${hub.url}/house`, { role, id, protocol: 1 });
    this.socket.on("hub:claims", ({ claims }) => {
      this.claims.push(...claims);
      this.#wake();
    });
    this.socket.on("hub:lost", ({ offsets }) => {
      this.lost.push(...offsets);
      this.#wake();
    });
  }

  ask<Reply = { ok: boolean }>(message: string, request: object = {}): Promise<Reply> {
    return this.socket.emitWithAck(message, request);
  }

  work(options: object = {}) {
    return this.ask("hub:work", { group: "g", events: ["said"], from: "start", capacity: 10, ...options });
  }

  /** The next `count` claims, in the order of their offsets. */
  async claimed(count: number): Promise<Claim[]> {
    await this.until(() => this.claims.length >= count);
    return this.claims.splice(0, count).sort((a, b) => a.offset - b.offset);
  }

  async claimOf(offset: number): Promise<Claim> {
    await this.until(() => this.claims.some((claim) => claim.offset === offset));
    return this.claims.find((claim) => claim.offset === offset) as Claim;
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  async settle({ offset, token }: Claim, outcome = "done", more: object = {}): Promise<SettledReply> {
    const settles = [{ offset, token, outcome, ...more }];
    const reply = await this.ask<{ replies: SettledReply[] }>("hub:settle", { group: "g", settles });
    return reply.replies[0] as SettledReply;
  }

  async group(): Promise<GroupStatus | undefined> {
    return (await this.ask<{ groups: GroupStatus[] }>("hub:groups")).groups[0];
  }

  async history(key: string): Promise<readonly HistoryEntry[]> {
    return (await this.told(key)).entries;
  }

  told(key: string, after?: string): Promise<Page> {
    return this.ask("hub:history", { key, after });
  }
}

async function worker(hub: TestHub, id: string, options?: object): Promise<Worker> {
  const made = await new Worker(hub, id).connected();
  expect(await made.work(options)).toEqual(ok);
  return made;
}

/** Says so many events, each of a key of its own, in as many messages as it takes. */
async function sayMany(hub: TestHub, count: number): Promise<void> {
  await using speaker = await connect(hub, { ...host, protocol: 1 });
  const entries = Array.from({ length: count }, (_, n) => ["said", { id: `${n}` }]);
  while (entries.length > 0) {
    const batch = entries.splice(0, defaultLimits.batchEvents);
    expect(await speaker.socket.emitWithAck("hub:emit", batch)).toEqual(ok);
  }
}

/** Stops reading what it is sent, and has more of it wait with the hub than may be. */
async function fallSilent(hub: TestHub, mute: Worker, id: string): Promise<HubSocket> {
  stall(mute);
  const end = hubEndOf(hub, id);
  // The first is more than the system has room for, so that the second waits with the hub.
  end.emit("hub:reached", "x".repeat(50_000_000) as never);
  while (unsentBytes(end.conn) > 0) await turn();
  end.emit("hub:reached", "x".repeat(defaultLimits.unsentBytes) as never);
  return end;
}

/** Says one event for each key. */
async function say(hub: TestHub, ...keys: readonly string[]): Promise<void> {
  await using speaker = await connect(hub, host);
  for (const [place, id] of keys.entries())
    expect(await speaker.say("said", { id, text: `${place}` })).toEqual(ok);
}

const keysOf = (claims: readonly Claim[]) => claims.map(({ event: [, , { subject }] }) => subject);

describe("a group", () => {
  it("hands each event to one member, as far as members have room, and the rest when they have", async () => {
    await using hub = await start();
    await say(hub, "a", "b", "c", "d", "e");
    await using one = await worker(hub, "one", { capacity: 2 });
    await using two = await worker(hub, "two", { capacity: 2 });
    const first = [...(await one.claimed(2)), ...(await two.claimed(2))];
    expect(new Set(keysOf(first))).toEqual(new Set(["a", "b", "c", "d"]));
    expect(await one.group()).toMatchObject({ held: 4, waiting: 0, dead: 0, lag: 1 });
    expect(await one.settle(first[0] as Claim)).toEqual({ ok: true, receipts: [] });
    expect(keysOf(await one.claimed(1))).toEqual(["e"]);
    expect(first[0]?.event).toEqual([
      "said",
      { id: "a", text: "0" },
      expect.objectContaining({ subject: "a", offset: 1, attempt: 1 }),
    ]);
  });

  it("hands out all that a member has room for, also where that is more than one packet of claims brings", async () => {
    await using hub = await start();
    const count = mostGiven + 50;
    await sayMany(hub, count);
    await using one = new Worker(hub, "one");
    const lengths: number[] = [];
    one.socket.on("hub:claims", ({ claims }) => lengths.push(claims.length));
    await one.connected();
    await one.work({ capacity: count, leaseMs: 600_000 });
    await one.until(() => one.claims.length >= count);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(mostGiven);
  });

  it("looks at no more of the log when so many events wait behind their keys, until one of these goes on", async () => {
    await using hub = await start({ limits: { groupWaiting: 2 } });
    await say(hub, "a", "a", "a", "b");
    await using one = await worker(hub, "one");
    const [first] = (await one.claimed(1)) as [Claim];
    expect(await one.group()).toMatchObject({ held: 1, waiting: 2, lag: 1 });
    await one.settle(first);
    expect(keysOf(await one.claimed(2))).toEqual(["a", "b"]);
  });

  it("looks at no more of the log when so many events are dead, until somebody drops one", async () => {
    await using hub = await start({ limits: { groupDead: 2 } });
    await say(hub, "a", "b");
    await using one = await worker(hub, "one");
    for (const claim of await one.claimed(2)) await one.settle(claim, "dead");
    await say(hub, "c");
    expect(await one.group()).toMatchObject({ held: 0, waiting: 0, dead: 2 });
    expect(await one.ask("hub:drop", { group: "g", offset: 1 })).toEqual({ ok: true });
    expect(keysOf(await one.claimed(1))).toEqual(["c"]);
  });

  it("works events of one key one at a time, in order, others beside it", async () => {
    await using hub = await start();
    await say(hub, "a", "a", "a", "b");
    await using one = await worker(hub, "one");
    const [first, b] = (await one.claimed(2)) as [Claim, Claim];
    expect([first.offset, b.offset]).toEqual([1, 4]);
    await one.settle(first);
    const [second] = (await one.claimed(1)) as [Claim];
    expect(second.offset).toBe(2);
    expect(second.token).toBeGreaterThan(first.token);
    await one.settle(second);
    expect((await one.claimed(1))[0]?.offset).toBe(3);
  });

  it("sees what was said while nobody was there, from where it was first named", async () => {
    await using hub = await start();
    await say(hub, "before");
    const one = await worker(hub, "one", { from: "now" });
    await one[Symbol.asyncDispose]();
    await say(hub, "a", "b");
    await using two = await worker(hub, "two");
    expect(keysOf(await two.claimed(2))).toEqual(["a", "b"]);
  });

  it("is refused to members that name other events, and to roles that may not hear them", async () => {
    await using hub = await start();
    await using one = await worker(hub, "one");
    await using two = await new Worker(hub, "two").connected();
    expect(await two.work({ events: ["said", "free"] })).toEqual(refusal("FORBIDDEN"));
    expect(await two.work({ events: ["waved"] })).toEqual(refusal("GROUP_DIFFERS"));
    expect(await two.work({ capacity: -1 })).toEqual(refusal("MESSAGE_INVALID"));
    await using mute = await new Worker(hub, "m", "mute").connected();
    expect(await mute.work()).toEqual(refusal("FORBIDDEN"));
    expect(await mute.ask("hub:dead", { group: "g" })).toEqual(refusal("GROUP_UNKNOWN"));
    expect(await one.group()).toMatchObject({ members: [{ satellite: "guest:one" }] });
  });
});

describe("a key with more events than may wait in a group", () => {
  async function sayMany(hub: TestHub, ids: readonly string[]): Promise<void> {
    await using speaker = await connect(hub, host);
    for (let start = 0; start < ids.length; start += 250) {
      const entries = ids.slice(start, start + 250).map((id) => ["said", { id }]);
      await speaker.socket.emitWithAck("hub:emit", entries);
    }
  }

  const hot = (count: number): string[] => new Array(count).fill("hot");

  it("does not keep others waiting, and is worked in order, each event once, also over a restart of the hub", async () => {
    await using hub = await start({ limits: { groupWaiting: 10, keyWaiting: 4 } });
    await sayMany(hub, [...hot(15), "other", ...hot(10)]);
    await using one = await worker(hub, "one", { capacity: 2 });
    const [first, other] = (await one.claimed(2)) as [Claim, Claim];
    expect([first.offset, ...keysOf([other])]).toEqual([1, "other"]);
    expect(await one.group()).toMatchObject({ waiting: 3, held: 2, lag: 22, cursor: `${hub.log.epoch}:4` });
    await one.settle(other);
    const worked: number[] = [];
    for (let claim: Claim | undefined = first; claim !== undefined; ) {
      worked.push(claim.offset);
      if ([5, 12, 20].includes(claim.offset)) {
        one.socket.disconnect();
        await hub.stop();
        await hub.start();
        one.socket.connect();
        await one.connected();
        const { offset, token } = claim;
        await one.work({ capacity: 2, held: [{ offset, token }] });
      }
      expect(await one.settle(claim)).toEqual(ok);
      claim = worked.length < 25 ? (await one.claimed(1))[0] : undefined;
    }
    const all = Array.from({ length: 26 }, (_, place) => place + 1);
    expect(worked).toEqual(all.filter((offset) => offset !== other.offset));
    expect(await one.group()).toMatchObject({ waiting: 0, held: 0 });
  });

  it("is not read again for each of its events, where others leave little room", async () => {
    const rates = {
      requestsPerSecond: 100_000,
      requestsAtOnce: 100_000,
      requestsPerSecondPerSatellite: 100_000,
    };
    await using hub = await start({ limits: { groupWaiting: 20, keyWaiting: 12, ...rates } });
    const others = (key: string, count: number) => Array.from({ length: count }, () => key);
    await sayMany(hub, [...hot(40), ...others("b", 11), ...others("c", 11)]);
    await hub.stop();
    await hub.start(); // nothing of it is in memory
    const { log } = hub;
    const readTexts = log.readTexts.bind(log);
    let pages = 0;
    log.readTexts = (request) => {
      if (request.runLength !== undefined) pages += 1;
      return readTexts(request);
    };
    await using one = await worker(hub, "one", { capacity: 5 });
    let claim = await one.claimOf(1);
    for (let settled = 1; settled < 40; settled += 1) {
      await one.settle(claim);
      claim = await one.claimOf(settled + 1);
    }
    expect(pages).toBeLessThan(8);
  });

  it("does not keep others waiting that are pages behind it, and is then found pages further on", async () => {
    await using hub = await start({ limits: { keyWaiting: 1 } });
    await sayMany(hub, ["hot", "first", ...hot(2_100), "second"]);
    await hub.stop();
    await hub.start(); // nothing of it is in memory
    await using one = await worker(hub, "one", { capacity: 3 });
    const claims = await one.claimed(3);
    expect(keysOf(claims)).toEqual(["hot", "first", "second"]);
    await one.settle(claims[0] as Claim);
    expect((await one.claimed(1))[0]?.offset).toBe(3);
  });
});

describe("a group that is forgotten", () => {
  it("is gone, with its place, its claims and its dead events, for its members too, and after a restart", async () => {
    await using hub = await start();
    await say(hub, "a", "b");
    await using one = await worker(hub, "one", { capacity: 1 });
    const ended = new Promise<unknown>((resolve) => one.socket.once("hub:unworked", resolve));
    const [first] = (await one.claimed(1)) as [Claim];
    await one.settle(first, "dead");
    const [second] = (await one.claimed(1)) as [Claim];
    expect(await one.ask("hub:forget", { group: "g" })).toEqual({ ok: true });
    expect(await ended).toEqual({ group: "g", error: expect.objectContaining({ code: "GROUP_UNKNOWN" }) });
    expect(await one.ask("hub:settle", { group: "g", settles: [] })).toEqual(refusal("GROUP_UNKNOWN"));
    expect(await one.ask("hub:forget", { group: "g" })).toEqual(refusal("GROUP_UNKNOWN"));
    for (const prefix of ["work/", "claim/"]) expect((await hub.log.records(prefix)).size).toBe(0);
    await hub.stop();
    await hub.start();
    await one.connected();
    expect(await one.group()).toBeUndefined();
    const held = [{ offset: second.offset, token: second.token }];
    expect(await one.work({ held })).toMatchObject({ ok: true, lost: [2] });
    expect((await one.claimed(2)).map(({ offset }) => offset)).toEqual([1, 2]);
  });
});

describe("a claim", () => {
  it("that is not renewed goes to somebody else, and its token is refused everywhere", async () => {
    await using hub = await start();
    await say(hub, "a");
    await using one = await worker(hub, "one", { leaseMs: 100, backoffMs: 0 });
    const [stale] = (await one.claimed(1)) as [Claim];
    await using two = await worker(hub, "two", { leaseMs: 60_000, backoffMs: 0 });
    await one.work({ capacity: 0, backoffMs: 0 });
    const [fresh] = (await two.claimed(1)) as [Claim];
    expect(one.lost).toEqual([1]);
    expect(fresh.token).toBeGreaterThan(stale.token);
    expect(fresh.event[2].attempt).toBe(2);
    expect(await one.settle(stale)).toEqual(refusal("LEASE_LOST"));
    const held = { group: "g", claims: [{ offset: stale.offset, token: stale.token }] };
    expect(await one.ask("hub:hold", held)).toEqual({ ok: true, lost: [1] });
    const claim = { group: "g", offset: stale.offset, token: stale.token };
    const entry = ["said", { id: "a" }, { id: "x", claim }];
    const { receipts } = await one.socket.emitWithAck("hub:emit", [entry]);
    expect(receipts).toEqual([refusal("LEASE_LOST")]);
    expect(await two.settle(fresh)).toEqual(ok);
    expect(hub.log.head).toBeGreaterThanOrEqual(3);
  });

  it("is given to nobody who let one run out and has said nothing since: that would cost an attempt each time", async () => {
    await using hub = await start();
    await say(hub, "a", "b");
    await using silent = await worker(hub, "silent", { capacity: 1, leaseMs: 100, backoffMs: 0 });
    await silent.claimed(1);
    await silent.until(() => silent.lost.length > 0);
    await using other = await worker(hub, "other", { capacity: 1, leaseMs: 60_000, backoffMs: 0 });
    for (const [offset, attempt] of [
      [1, 2],
      [2, 1],
    ]) {
      const [claim] = (await other.claimed(1)) as [Claim];
      expect([claim.offset, claim.event[2].attempt]).toEqual([offset, attempt]);
      await other.settle(claim);
    }
    expect(silent.claims).toEqual([]);
    await say(hub, "c");
    await other.claimed(1); // it is full
    await say(hub, "d");
    expect(await silent.ask("hub:hold", { group: "g", claims: [] })).toEqual({ ok: true, lost: [] });
    expect(keysOf(await silent.claimed(1))).toEqual(["d"]);
  });

  it("lasts while it is renewed", async () => {
    await using hub = await start();
    await say(hub, "a");
    await using one = await worker(hub, "one", { leaseMs: 2_000 });
    const [claim] = (await one.claimed(1)) as [Claim];
    const { offset, token } = claim;
    const endMs = Date.now() + 4_500;
    while (Date.now() < endMs) {
      expect(await one.ask("hub:hold", { group: "g", claims: [{ offset, token }] })).toEqual({
        ok: true,
        lost: [],
      });
    }
    expect(await one.settle(claim)).toEqual(ok);
  });

  it("comes back early when its connection is gone, but not to one that reconnects in time", async () => {
    await using hub = await start({ limits: { graceMs: 3_000 } });
    await say(hub, "a", "b");
    const gone = await worker(hub, "gone", { capacity: 1, leaseMs: 60_000, backoffMs: 0 });
    const [lost] = (await gone.claimed(1)) as [Claim];
    await using stays = await worker(hub, "stays", { capacity: 1, leaseMs: 60_000, backoffMs: 0 });
    const [kept] = (await stays.claimed(1)) as [Claim];
    gone.socket.disconnect();
    stays.socket.disconnect();
    stays.socket.connect();
    await stays.connected();
    const held = [{ offset: kept.offset, token: kept.token }];
    expect(await stays.work({ leaseMs: 60_000, backoffMs: 0, held })).toMatchObject({ ok: true, lost: [] });
    const [again] = (await stays.claimed(1)) as [Claim];
    expect([again.offset, again.event[2].attempt]).toEqual([lost.offset, 2]);
    expect(await stays.settle(kept)).toEqual(ok);
  });

  it("is its member's over a restart of the hub, and nobody else's", async () => {
    await using hub = await start();
    await say(hub, "a", "b");
    await using one = await worker(hub, "one", { capacity: 1, leaseMs: 60_000 });
    const [claim] = (await one.claimed(1)) as [Claim];
    await hub.stop();
    await hub.start();
    await using two = await worker(hub, "two", { leaseMs: 60_000 });
    expect(keysOf(await two.claimed(1))).toEqual(["b"]);
    await one.connected();
    const { offset, token } = claim;
    expect(await one.work({ leaseMs: 60_000, held: [{ offset, token }] })).toMatchObject({
      ok: true,
      lost: [],
    });
    const events = [["said", { id: "outcome" }, { id: "of-a" }]];
    expect(await one.settle(claim, "done", { events })).toMatchObject({
      ok: true,
      receipts: [{ id: "of-a" }],
    });
    expect(two.claims).toEqual([]);
  });
});

describe("settling", () => {
  it("puts what comes of a claim into the log together with the settle, or neither", async () => {
    await using hub = await start();
    await say(hub, "a");
    await using one = await worker(hub, "one", { capacity: 1 });
    const [claim] = (await one.claimed(1)) as [Claim];
    const settle = (...events: unknown[]) => one.settle(claim, "done", { events });
    expect(await settle(["said", { id: 7 }])).toEqual(refusal("DATA_INVALID"));
    expect(await settle(["waved", { id: "w" }])).toEqual(refusal("MESSAGE_INVALID"));
    const good = ["said", { id: "good" }, { id: "good" }];
    const reused = ["mood", { who: "w", mood: "good" }, { id: "good" }];
    expect(await settle(good, reused)).toEqual(refusal("ID_REUSED"));
    expect(hub.log.head).toBe(1);
    expect(await settle(good)).toMatchObject({ ok: true, receipts: [{ ok: true, id: "good", offset: 2 }] });
    // The answer may have got lost.
    expect(await settle(good)).toMatchObject({ ok: true, receipts: [{ ok: true, id: "good", offset: 2 }] });
    const [outcome] = (await one.claimed(1)) as [Claim];
    expect(outcome.event).toMatchObject(["said", { id: "good" }, { causationId: claim.event[2].id }]);
  });

  it("an event that was said under the claim has its cause", async () => {
    await using hub = await start();
    await say(hub, "a");
    await using one = await worker(hub, "one", { capacity: 1 });
    const [{ offset, token, event }] = (await one.claimed(1)) as [Claim];
    const entry = ["said", { id: "b" }, { id: "of-a", claim: { group: "g", offset, token } }];
    const { receipts }: { receipts: Receipt[] } = await one.socket.emitWithAck("hub:emit", [entry]);
    expect(receipts).toEqual([{ ok: true, id: "of-a", offset: 2 }]);
    expect((await hub.log.read({ after: 1 })).events[0]).toMatchObject({ cause: event[2].id });
  });

  it("what comes of a claim is nobody else's to say first: not plainly, in another group, or of another event", async () => {
    await using hub = await start();
    await say(hub, "a", "b");
    await using one = await worker(hub, "one");
    const [first, second] = (await one.claimed(2)) as [Claim, Claim];
    const entry = ["said", { id: "c" }, { id: "outcome" }];
    const done = { events: [entry] };
    await using thief = await worker(hub, "thief", { group: "other" });
    await thief.socket.emitWithAck("hub:emit", [entry]);
    const { offset, token } = await thief.claimOf(first.offset);
    const settles = [{ offset, token, outcome: "done", ...done }];
    expect(await thief.ask("hub:settle", { group: "other", settles })).toMatchObject({ replies: [ok] });
    expect(await one.settle(second, "done", done)).toEqual(ok);
    const receipts = [{ ok: true, id: "outcome", offset: expect.any(Number) }]; // and no duplicate
    expect(await one.settle(first, "done", done)).toEqual({ ok: true, receipts });
  });

  it("groups of one name in two roles do not take each other's outcomes for their own", async () => {
    await using hub = await start();
    await say(hub, "a");
    const receipts = [];
    for (const role of ["guest", "host"]) {
      await using one = await new Worker(hub, "one", role).connected();
      await one.work();
      const [claim] = (await one.claimed(1)) as [Claim];
      receipts.push(await one.settle(claim, "done", { events: [["said", { id: role }, { id: "outcome" }]] }));
    }
    const receipt = { ok: true, id: "outcome", offset: expect.any(Number) };
    expect(receipts).toEqual([
      { ok: true, receipts: [receipt] },
      { ok: true, receipts: [receipt] },
    ]);
  });

  it("what one attempt has said, another member's does not say again, whatever its data", async () => {
    await using hub = await start();
    await say(hub, "a");
    const offsets = [];
    for (const id of ["one", "two"]) {
      await using member = await worker(hub, id, { backoffMs: 0 });
      const claim = await member.claimOf(1);
      const { offset, token } = claim;
      const entry = ["said", { id: `by ${id}` }, { id: "x", claim: { group: "g", offset, token } }];
      const { receipts } = await member.socket.emitWithAck("hub:emit", [entry]);
      offsets.push(receipts);
      await member.settle(claim, "retry");
    }
    expect(offsets).toEqual([
      [{ ok: true, id: "x", offset: 2 }],
      [{ ok: true, id: "x", offset: 2, duplicate: true }],
    ]);
  });

  it("claims come in packets that are no longer than a message", async () => {
    await using hub = await start({ limits: { messageBytes: 10_000 } });
    await using speaker = await connect(hub, host);
    for (const id of ["a", "b", "c", "d", "e"]) await speaker.say("said", { id, text: "x".repeat(4_000) });
    await using one = new Worker(hub, "one");
    const lengths: number[] = [];
    one.socket.on("hub:claims", (packet) => lengths.push(JSON.stringify(packet).length));
    await one.connected();
    await one.work();
    await one.claimed(5);
    expect(lengths).toHaveLength(3);
    expect(Math.max(...lengths)).toBeLessThan(10_100);
  });

  it("claims do not go to a member that does not read, until it has", async () => {
    await using hub = await start();
    await using mute = await worker(hub, "mute");
    await fallSilent(hub, mute, "mute");
    await using one = await worker(hub, "one", { capacity: 2 });
    await say(hub, "a", "b");
    expect(keysOf(await one.claimed(2))).toEqual(["a", "b"]);
    await say(hub, "c");
    readOn(mute);
    expect(keysOf(await mute.claimed(1))).toEqual(["c"]);
  });

  it("a member that does not read is waited for once, however often claims go to others meanwhile", async () => {
    await using hub = await start();
    await using mute = await worker(hub, "mute");
    const end = await fallSilent(hub, mute, "mute");
    const keys = Array.from({ length: 20 }, (_, n) => `${n}`);
    await say(hub, ...keys);
    await using one = await worker(hub, "one", { capacity: 1 });
    for (const key of keys) {
      const [claim] = (await one.claimed(1)) as [Claim];
      expect(keysOf([claim])).toEqual([key]);
      await one.settle(claim);
    }
    expect(end.conn.listenerCount("drain")).toBeLessThan(keys.length / 2);
    readOn(mute);
  });

  it("leaves dead events for more than one answer, where there are very many", async () => {
    await using hub = await start({ limits: { messageBytes: 10_000_000 } });
    const count = 1_001;
    await sayMany(hub, count);
    await using one = await worker(hub, "one", { capacity: count });
    const settles = (await one.claimed(count)).map(({ offset, token }) => ({
      offset,
      token,
      outcome: "dead",
    }));
    while (settles.length > 0) {
      const some = settles.splice(0, defaultLimits.batchEvents);
      expect(await one.ask("hub:settle", { group: "g", settles: some })).toEqual(ok);
    }
    const pages: number[] = [];
    for (const after of [0, 1_000]) {
      const { dead } = await one.ask<{ dead: object[] }>("hub:dead", { group: "g", after });
      pages.push(dead.length);
    }
    expect(pages).toEqual([1_000, 1]);
  });

  it("leaves long dead events for more than one answer, each of them no longer than a message", async () => {
    await using hub = await start({ limits: { messageBytes: 10_000 } });
    const ids = ["a", "b", "c", "d", "e"];
    await using speaker = await connect(hub, host);
    for (const id of ids) await speaker.say("said", { id, text: "x".repeat(4_000) });
    await using one = await worker(hub, "one");
    for (const claim of await one.claimed(ids.length)) await one.settle(claim, "dead", { error: "no" });
    const pages: number[][] = [];
    for (let after = 0; ; after = pages.at(-1)?.at(-1) ?? 0) {
      const { dead } = await one.ask<{ dead: { offset: number }[] }>("hub:dead", { group: "g", after });
      if (dead.length === 0) break;
      expect(JSON.stringify(dead).length).toBeLessThan(10_100);
      pages.push(dead.map(({ offset }) => offset));
    }
    expect(pages).toEqual([[1, 2], [3, 4], [5]]);
  });

  it("to try again waits, and after so many attempts it is dead: listed, redriven once, dropped; its key goes on, marked", async () => {
    await using hub = await start();
    await say(hub, "a", "a");
    await using one = await worker(hub, "one", { attempts: 2, backoffMs: 10 });
    for (const attempt of [1, 2]) {
      const [claim] = (await one.claimed(1)) as [Claim];
      expect([claim.offset, claim.event[2].attempt]).toEqual([1, attempt]);
      expect(await one.settle(claim, "retry", { error: `no ${attempt}` })).toEqual(ok);
    }
    const [next] = (await one.claimed(1)) as [Claim];
    expect([next.offset, next.deadBefore]).toEqual([2, [1]]);
    expect(await one.ask("hub:dead", { group: "g", after: 1 })).toEqual({ ok: true, dead: [] });
    const { dead } = await one.ask<{ dead: object[] }>("hub:dead", { group: "g" });
    expect(dead).toEqual([
      expect.objectContaining({ offset: 1, reason: "attempts", attempts: 2, error: "no 2", by: "guest:one" }),
    ]);
    expect(await one.ask("hub:redrive", { group: "g", offset: 2 })).toEqual(refusal("NOT_DEAD"));
    expect(await one.ask("hub:redrive", { group: "g", offset: 1 })).toEqual({ ok: true });
    expect(await one.ask("hub:redrive", { group: "g", offset: 1 })).toEqual(refusal("NOT_DEAD"));
    await one.settle(next);
    const [again] = (await one.claimed(1)) as [Claim];
    expect([again.offset, again.event[2].attempt]).toEqual([1, 1]);
    await one.settle(again, "dead", { error: "broken" });
    expect(await one.ask("hub:drop", { group: "g", offset: 1 })).toEqual({ ok: true });
    expect(await one.group()).toMatchObject({ waiting: 0, held: 0, dead: 0 });
    const outcomes = (await one.history("a")).map((entry) =>
      entry.kind === "attempt" ? [entry.offset, entry.attempt, entry.outcome] : [entry.kind],
    );
    expect(outcomes).toEqual([
      ["event"],
      ["event"],
      [1, 1, "retry"],
      [1, 2, "retry"],
      [1, 2, "redriven"],
      [2, 1, "done"],
      [1, 1, "dead"],
      [1, 1, "dropped"],
    ]);
  });

  it("gives back what is somebody else's, at no cost", async () => {
    await using hub = await start();
    await say(hub, "a");
    await using one = await worker(hub, "one");
    const [claim] = (await one.claimed(1)) as [Claim];
    await using two = await worker(hub, "two");
    await one.settle(claim, "back");
    expect((await two.claimed(1))[0]?.event[2].attempt).toBe(1);
  });
});

it("a history names who has it, and is told of what one may hear only", async () => {
  await using hub = await start();
  await say(hub, "a", "a");
  await using one = await worker(hub, "one");
  await one.claimed(1);
  expect(await one.history("a")).toEqual([
    { kind: "event", event: expect.arrayContaining(["said"]) },
    { kind: "event", event: expect.arrayContaining(["said"]) },
    expect.objectContaining({ kind: "attempt", offset: 1, attempt: 1, by: "guest:one", outcome: "held" }),
    { kind: "waiting", group: "g", offset: 2 },
  ]);
  await using mute = await new Worker(hub, "m", "mute").connected();
  expect(await mute.history("a")).toEqual([]);
});

describe("a long history", () => {
  const limits = {
    requestsPerSecond: 100_000,
    requestsAtOnce: 100_000,
    requestsPerSecondPerSatellite: 100_000,
  };
  const text = "x".repeat(2_000);
  const placeOf = (entry: HistoryEntry): string => {
    if (entry.kind === "event") return `event ${entry.event[2].offset}`;
    const { kind, group, offset } = entry;
    return `${kind === "waiting" ? kind : entry.outcome} ${group} ${offset}`;
  };

  /** Says events of one key, and waits until the groups have looked at them; each holds one of them at a time. */
  async function sayOfA(one: Worker, ...texts: readonly string[]): Promise<void> {
    const reply = await one.ask(
      "hub:emit",
      texts.map((text) => ["said", { id: "a", text }]),
    );
    expect(reply).toEqual(ok);
    const hasLooked = async () => {
      const { groups } = await one.ask<{ groups: GroupStatus[] }>("hub:groups");
      return groups.every(({ lag, held }) => lag === 0 && held === 1);
    };
    while (!(await hasLooked()));
  }

  it("comes in answers of one message; nothing is left out or told twice", async () => {
    await using hub = await start({ limits: { ...limits, messageBytes: 10_000 } });
    await using one = await worker(hub, "one");
    await using _other = await worker(hub, "other", { group: "h" });
    for (let count = 0; count < 20; count += 1) await sayOfA(one, text);
    const told: string[] = [];
    for (let after: string | undefined, isOver = false; !isOver; isOver = after === undefined) {
      const page = await one.told("a", after);
      after = page.next;
      expect(after ?? "0").toMatch(/^\d+(:\d+)?$/); // no group's name: the next one may be another satellite's
      expect(page.entries.length).toBeGreaterThan(0);
      expect(JSON.stringify(page.entries).length).toBeLessThan(10_000);
      told.push(...page.entries.map(placeOf));
    }
    const offsets = Array.from({ length: 20 }, (_, place) => place + 1);
    expect(told).toEqual([
      ...offsets.map((offset) => `event ${offset}`),
      ...offsets.flatMap((offset) =>
        ["g", "h"].map((group) => `${offset === 1 ? "held" : "waiting"} ${group} ${offset}`),
      ),
    ]);
  });

  it("leaves nothing out and tells nothing twice, whatever is said and settled meanwhile", async () => {
    await using hub = await start({ limits: { ...limits, messageBytes: 600 } });
    await using one = await worker(hub, "one");
    await using _other = await worker(hub, "other", { group: "h" });
    for (let count = 0; count < 20; count += 1) await sayOfA(one, "");
    const said = 20 + 6 * 3;
    const settled: string[] = [];
    const told: string[] = [];
    for (let after: string | undefined, isOver = false; !isOver; isOver = after === undefined) {
      const page = await one.told("a", after);
      after = page.next;
      told.push(...page.entries.map(placeOf));
      // Three times while it is told what is in the log, and three times behind that.
      const most = told.some((one) => one.startsWith("waiting")) ? 6 : 3;
      if (settled.length === most) continue;
      await one.until(() => one.claims.length > 0);
      const [claim] = one.claims.splice(0, 1) as [Claim];
      expect(await one.settle(claim)).toEqual(ok);
      settled.push(`done g ${claim.offset}`);
      await sayOfA(one, "", "", "");
    }
    expect(new Set(told).size).toBe(told.length);
    expect(told.filter((one) => one.startsWith("event"))).toHaveLength(said);
    expect(told.filter((one) => one.startsWith("done"))).toEqual(settled);
    for (const group of ["g", "h"]) {
      const offsets = told.filter((one) => one.includes(` ${group} `)).map((one) => one.split(" ").at(-1));
      expect(new Set(offsets).size).toBe(said);
    }
  });

  /** A worker that settles each claim as it comes, so many of them, and holds the next one. */
  async function settling(hub: TestHub, group: string, outcome: string, most: number) {
    const one = await new Worker(hub, group).connected();
    let settled = 0;
    one.socket.on("hub:claims", ({ claims }) => {
      for (const { offset, token } of claims.slice(0, most - settled)) {
        settled += 1;
        one.socket.emit("hub:settle", { group, settles: [{ offset, token, outcome }] });
      }
    });
    expect(await one.work({ group, capacity: 1, backoffMs: 0 })).toEqual(ok);
    const isDone = () => one.until(() => one.claims.length > most);
    return Object.assign(one, { isDone });
  }

  /** All that is told of the key, page by page. */
  async function wholeOf(one: Worker, key: string): Promise<string[]> {
    const told: string[] = [];
    for (let after: string | undefined, isOver = false; !isOver; isOver = after === undefined) {
      const page = await one.told(key, after);
      after = page.next;
      told.push(...page.entries.map(placeOf));
    }
    return told;
  }

  it("tells of each attempt, however often somebody gave one event back", async () => {
    await using hub = await start({ limits: { ...limits, ...noRates } });
    await say(hub, "a", "a");
    await using one = await settling(hub, "g", "done", 1);
    await one.isDone();
    await using other = await settling(hub, "h", "back", 3_500);
    await other.isDone();
    const back = Array.from({ length: 3_500 }, () => "back h 1");
    expect(await wholeOf(one, "a")).toEqual([
      "event 1",
      "done g 1",
      ...back,
      "held h 1",
      "event 2",
      "held g 2",
      "waiting h 2",
    ]);
  }, 60_000);

  it("tells of each event once, however much later the first attempt at it ended", async () => {
    await using hub = await start({ limits: { ...limits, ...noRates } });
    await using speaker = await connect(hub, { ...host, protocol: 1 });
    const count = 2_400;
    for (let left = count; left > 0; left -= 200) {
      const batch = Array.from({ length: 200 }, () => ["said", { id: "a" }]);
      expect(await speaker.socket.emitWithAck("hub:emit", batch)).toEqual(ok);
    }
    await using one = await settling(hub, "g", "done", 2_200);
    await one.isDone();
    await using other = await settling(hub, "h", "done", 2_300);
    await other.isDone();
    const told = await wholeOf(one, "a");
    const offsets = Array.from({ length: count }, (_, place) => place + 1);
    expect(told.filter((one) => one.startsWith("event")).sort()).toEqual(
      offsets.map((n) => `event ${n}`).sort(),
    );
    for (const [group, done] of [
      ["g", 2_200],
      ["h", 2_300],
    ] as const) {
      const ofGroup = told.filter((one) => one.includes(` ${group} `));
      expect(ofGroup).toEqual([
        ...offsets.slice(0, done).map((n) => `done ${group} ${n}`),
        `held ${group} ${done + 1}`,
        ...offsets.slice(done + 1).map((n) => `waiting ${group} ${n}`),
      ]);
    }
    for (const n of offsets) {
      const first = told.findIndex((one) => one.endsWith(` ${n}`));
      expect(told[first]).toBe(`event ${n}`);
    }
  }, 60_000);

  it("is told bit by bit, and so is the log asked for its events", async () => {
    await using hub = await start({ limits });
    await using one = await worker(hub, "one");
    for (let count = 0; count < 3; count += 1) await sayOfA(one, ...Array.from({ length: 200 }, () => ""));
    const { log } = hub;
    const readTexts = log.readTexts.bind(log);
    let [asked, most] = [0, 0];
    log.readTexts = (request) => {
      asked += 1;
      most = Math.max(most, asked);
      return readTexts(request).finally(() => (asked -= 1));
    };
    const first = await one.told("a");
    const second = await one.told("a", first.next);
    expect([first.entries.length, second.entries.length, second.next]).toEqual([1_000, 200, undefined]);
    expect(most).toBe(50);
  });

  it.each(["", "x", "1:", ":2", "1:2:3", "1/", "/1", "1/2:3", "-1", "1.5", "1:2:g\n", "9".repeat(16)])(
    "goes on behind no place such as %j",
    async (after) => {
      await using hub = await start();
      await using one = await worker(hub, "one");
      expect(await one.told("a", after)).toEqual(refusal("MESSAGE_INVALID"));
    },
  );
});
