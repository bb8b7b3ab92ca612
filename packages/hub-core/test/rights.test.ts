// What somebody who is in may not do, or see.
import type { Contract, DeadEvent, HistoryEntry, Parked } from "@orrery/contracts";
import { startHub } from "../src/testing.ts";
import { PlainClient, refusal } from "./clients.ts";
import { key, manor, refusalOf, say, startManor, tokenOf, type Visitor, visit } from "./manor.ts";

const ok = expect.objectContaining({ ok: true });
const parked = async (visitor: Visitor, as = "f") =>
  (await visitor.ask<{ parked: Parked[] }>("hub:parked", { as })).parked;
const dead = async (visitor: Visitor) =>
  (await visitor.ask<{ dead: DeadEvent[] }>("hub:dead", { group: "w" })).dead;
const history = async (visitor: Visitor, subject: string) =>
  (await visitor.ask<{ entries: HistoryEntry[] }>("hub:history", { key: subject })).entries;

async function claimed(visitor: Visitor) {
  while (visitor.claims.length === 0) await visitor.next("hub:claims");
  return visitor.claims.shift() as Visitor["claims"][number];
}

/** For who asks again and again, until it is as the test waits for. */
const limits = {
  requestsPerSecond: 100_000,
  requestsAtOnce: 100_000,
  requestsPerSecondPerSatellite: 100_000,
};

/** A hub whose contract is another one when it starts again. */
async function startChanging(before: Contract, after: Contract) {
  const contracts = [before];
  const hub = await startHub({ contracts, keys: key, limits });
  const change = async () => {
    await hub.stop();
    contracts[0] = after;
    await hub.start();
  };
  return { hub, change, [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose]() };
}

describe("a satellite that hears only its own", () => {
  it("says nothing into another one's room, in no form and under no claim", async () => {
    await using hub = await startManor();
    await using guest = await visit(hub, "guest:g");
    await say(guest, "said", ["a"]);
    await guest.ask("hub:work", { group: "w", events: ["said"], from: "start", capacity: 1 });
    const { offset, token } = await claimed(guest);
    const into = ["whispered", { id: "x", guest: "other" }] as const;
    expect(await guest.say(...into)).toEqual(refusal("FORBIDDEN"));
    const claim = { group: "w", offset, token };
    const batch = [into, [...into, { claim }], ["whispered", { id: "nobody's" }]];
    const receipts = Array(3).fill(refusal("FORBIDDEN"));
    expect(await guest.socket.emitWithAck("hub:emit", batch)).toEqual({ ok: true, receipts });
    const settles = [{ offset, token, outcome: "done", events: [into] }];
    const settled = await guest.ask("hub:settle", { group: "w", settles });
    expect(settled).toEqual({ ok: true, replies: [refusal("FORBIDDEN")] });
    expect(hub.log.head).toBe(1);
  });

  it("listens, follows and works in no room but its own", async () => {
    await using hub = await startManor();
    await using guest = await visit(hub, "guest:g");
    const wide = { events: ["whispered"], rooms: ["guest:g", "guest:other"] };
    expect(await guest.ask("hub:listen", wide)).toEqual(refusal("FORBIDDEN"));
    expect(await guest.ask("hub:follow", { ...wide, as: "f" })).toEqual(refusal("FORBIDDEN"));
    expect(await guest.ask("hub:work", { ...wide, group: "w", capacity: 1 })).toEqual(refusal("FORBIDDEN"));
    const token = await tokenOf("guest:g");
    expect(await refusalOf(hub, { token, protocol: undefined, rooms: wide.rooms })).toBe("FORBIDDEN");
  });

  it("is told nothing of what happened to another one's", async () => {
    await using hub = await startManor();
    await using host = await visit(hub, "host:h");
    await using guest = await visit(hub, "guest:g");
    await using other = await visit(hub, "guest:other");
    expect(await host.say("whispered", { id: "secret", guest: "other" })).toEqual(ok);
    await other.ask("hub:work", { group: "w", events: ["whispered"], from: "start", capacity: 1 });
    await claimed(other);
    expect(await history(other, "secret")).toHaveLength(2);
    expect(await history(guest, "secret")).toEqual([]);
  });
});

describe("somebody else's", () => {
  it("follower looks like one that is not there, and its name is free", async () => {
    await using hub = await startManor({ limits });
    await using guest = await visit(hub, "guest:g");
    await using thief = await visit(hub, "guest:thief");
    await say(guest, "said", ["a"]);
    guest.answer = { parked: [{ offset: 1, attempts: 1, error: "e" }] };
    expect(await guest.ask("hub:follow", { as: "f", events: ["said"], from: "start" })).toEqual(ok);
    while ((await parked(guest)).length === 0);
    for (const message of ["hub:unfollow", "hub:forget", "hub:parked", "hub:redrive"]) {
      const request = message === "hub:redrive" ? { as: "f", offset: 1 } : { as: "f" };
      const strange = message === "hub:redrive" ? { as: "none", offset: 1 } : { as: "none" };
      const reply = await thief.ask(message, request);
      expect(reply).toEqual(refusal("FOLLOWER_UNKNOWN"));
      expect(reply).toEqual(await thief.ask(message, strange));
    }
    expect(await thief.ask("hub:followers")).toEqual({ ok: true, followers: [] });
    expect(await thief.ask("hub:follow", { as: "f", events: ["said"] })).toEqual(ok);
    expect(await parked(thief)).toEqual([]);
    expect(await parked(guest)).toHaveLength(1);
  });

  it("group looks like one that is not there, and its name is free, where each hears only its own", async () => {
    await using hub = await startManor();
    await using host = await visit(hub, "host:h");
    await using guest = await visit(hub, "guest:g");
    await using thief = await visit(hub, "guest:thief");
    for (const id of ["g", "thief"]) await host.say("whispered", { id, guest: id });
    const work = { group: "w", events: ["whispered"], from: "start", capacity: 1 };
    expect(await guest.ask("hub:work", work)).toEqual(ok);
    const { offset, token } = await claimed(guest);
    const settle = (outcome: string) => ({ group: "w", settles: [{ offset, token, outcome }] });
    expect(await guest.ask("hub:settle", settle("dead"))).toMatchObject({ replies: [ok] });
    expect(await dead(guest)).toMatchObject([{ event: ["whispered", { id: "g" }, {}] }]);

    const messages: Record<string, object> = {
      "hub:dead": {},
      "hub:redrive": { offset },
      "hub:drop": { offset },
      "hub:hold": { claims: [{ offset, token }] },
      "hub:settle": settle("done"),
      "hub:forget": {},
    };
    for (const [message, request] of Object.entries(messages)) {
      expect(await thief.ask(message, { group: "w", ...request })).toEqual(refusal("GROUP_UNKNOWN"));
    }
    expect(await thief.ask("hub:groups")).toEqual({ ok: true, groups: [] });
    expect(await thief.ask("hub:work", work)).toEqual(ok);
    expect((await claimed(thief)).event[1]).toEqual({ id: "thief", guest: "thief" });
    expect(await dead(thief)).toEqual([]);
    expect(await dead(guest)).toHaveLength(1);
    await hub.stop();
    await hub.start();
    await using again = await visit(hub, "guest:g");
    expect(await dead(again)).toHaveLength(1);
  });

  it("group is another role's, and looks like one that is not there", async () => {
    await using hub = await startManor();
    await using host = await visit(hub, "host:h");
    await using guest = await visit(hub, "guest:g");
    expect(await host.ask("hub:work", { group: "w", events: ["said"], capacity: 1 })).toEqual(ok);
    expect(await guest.ask("hub:forget", { group: "w" })).toEqual(refusal("GROUP_UNKNOWN"));
    expect(await guest.ask("hub:groups")).toEqual({ ok: true, groups: [] });
  });

  it("event is not read by parking what was not delivered", async () => {
    const annex: Contract = { ...manor, name: "annex" };
    await using hub = await startHub({ contracts: [manor, annex], keys: key, limits });
    await using host = await visit(hub, "host:h");
    await using guest = await visit(hub, "guest:g");
    const token = await tokenOf("host:h", { contract: "annex" });
    await using elsewhere = await new PlainClient(`${hub.url}/annex`, { token }).connected();
    await elsewhere.say("said", { id: "another contract's" });
    await host.say("whispered", { id: "another guest's", guest: "other" });
    await say(host, "said", ["a"]);
    const follow = async (as: string, offset: number) => {
      guest.answer = { parked: [{ offset, attempts: 1, error: "e" }] };
      expect(await guest.ask("hub:follow", { as, events: ["said"], from: "start" })).toEqual(ok);
      while (!guest.delivered.some((delivery) => delivery.as === as)) await guest.next("hub:deliver");
    };
    // Beyond the page: that is no answer. Within it, but not for this satellite: there is nothing to see.
    await follow("beyond", 100);
    for (const offset of [1, 2]) {
      const as = `within-${offset}`;
      await follow(as, offset);
      while ((await parked(guest, as)).length === 0);
      expect(await parked(guest, as)).toMatchObject([{ offset, event: null }]);
      expect(await guest.ask("hub:redrive", { as, offset })).toEqual(refusal("NOT_PARKED"));
    }
    expect(await parked(guest, "beyond")).toEqual([]);
  });
});

describe("when the contract is another one after a restart", () => {
  const { whispered, said } = manor.events;
  const mute: Contract = { ...manor, events: { ...manor.events, said: { ...said, hear: { host: "all" } } } };

  it("what a role may hear no more is nowhere to be had", async () => {
    await using changing = await startChanging(manor, mute);
    const { hub, change } = changing;
    {
      await using guest = await visit(hub, "guest:g");
      await say(guest, "said", ["a", "b"]);
      guest.answer = { parked: [{ offset: 1, attempts: 1, error: "e" }] };
      await guest.ask("hub:follow", { as: "f", events: ["said"], from: "start" });
      while ((await parked(guest)).length === 0);
      await guest.ask("hub:work", { group: "w", events: ["said"], from: "start", capacity: 1 });
      const { offset, token } = await claimed(guest);
      await guest.ask("hub:settle", { group: "w", settles: [{ offset, token, outcome: "dead" }] });
      expect(await dead(guest)).toHaveLength(1);
    }
    await change();
    await using guest = await visit(hub, "guest:g");
    const everything = { events: ["said"], after: "start" };
    expect(await guest.ask("hub:listen", everything)).toEqual(refusal("FORBIDDEN"));
    expect(await guest.ask("hub:follow", { as: "f", events: ["said"] })).toEqual(refusal("FORBIDDEN"));
    expect(await guest.ask("hub:follow", { as: "f", events: ["mood"] })).toEqual(ok);
    expect(await parked(guest)).toMatchObject([{ offset: 1, event: null }]);
    expect(await guest.ask("hub:redrive", { as: "f", offset: 1 })).toEqual(refusal("NOT_PARKED"));
    const work = { group: "w", events: ["said"], capacity: 1 };
    expect(await guest.ask("hub:work", work)).toEqual(refusal("FORBIDDEN"));
    expect(await guest.ask("hub:dead", { group: "w" })).toEqual(refusal("GROUP_UNKNOWN"));
    expect(await history(guest, "a")).toEqual([]);
  });

  /** Whoever's id the note has hears it, too. */
  const wider: Contract = {
    ...manor,
    events: { ...manor.events, whispered: { ...whispered, rooms: { guest: "guest", satellite: "id" } } },
  };

  it("what is a satellite's own no more does not come, to a listener, a follower or a group", async () => {
    await using changing = await startChanging(wider, manor);
    const { hub, change } = changing;
    const work = { group: "w", events: ["whispered"], from: "start", capacity: 1, backoffMs: 0 };
    {
      await using host = await visit(hub, "host:h");
      await using guest = await visit(hub, "guest:g");
      await host.say("whispered", { id: "g", guest: "other" });
      await host.say("whispered", { id: "mine", guest: "g" });
      await guest.ask("hub:work", work);
      const { offset, token, event } = await claimed(guest);
      expect(event[1]).toMatchObject({ id: "g" });
      await guest.ask("hub:work", { ...work, capacity: 0 });
      await guest.ask("hub:settle", { group: "w", settles: [{ offset, token, outcome: "retry" }] });
    }
    await change();
    await using guest = await visit(hub, "guest:g");
    await guest.ask("hub:work", work);
    expect((await claimed(guest)).event[1]).toMatchObject({ id: "mine" });
    while ((await dead(guest)).length === 0);
    expect(await dead(guest)).toMatchObject([{ offset: 1, event: null }]);
    await guest.ask("hub:follow", { as: "f", events: ["whispered"], from: "start" });
    while (guest.delivered.length === 0) await guest.next("hub:deliver");
    expect(guest.delivered.flatMap(({ events }) => events.map(([, data]) => data))).toMatchObject([
      { id: "mine" },
    ]);
    await guest.ask("hub:listen", { events: ["whispered"], after: "start" });
    expect((await guest.take(1)).map(({ data }) => data.id)).toEqual(["mine"]);
  });

  const open: Contract = {
    ...manor,
    events: { ...manor.events, whispered: { ...whispered, hear: { host: "all", guest: "all" } } },
  };

  it("a group that was its role's is nobody's where each hears only its own by now", async () => {
    await using changing = await startChanging(open, manor);
    const { hub, change } = changing;
    const work = { group: "w", events: ["whispered"], from: "start", capacity: 1, leaseMs: 100 };
    {
      await using host = await visit(hub, "host:h");
      await using guest = await visit(hub, "guest:g");
      await host.say("whispered", { id: "secret", guest: "other" });
      await host.say("whispered", { id: "mine", guest: "g" });
      await guest.ask("hub:work", work);
      expect((await claimed(guest)).event[1]).toMatchObject({ id: "secret" });
    }
    await change();
    await using guest = await visit(hub, "guest:g");
    expect(await guest.ask("hub:dead", { group: "w" })).toEqual(refusal("GROUP_UNKNOWN"));
    await guest.ask("hub:work", work);
    expect((await claimed(guest)).event[1]).toMatchObject({ id: "mine" });
  });
});
