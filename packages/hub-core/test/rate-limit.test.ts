import { setTimeout as sleep } from "node:timers/promises";
import type { Receipt } from "@orrery/contracts";
import { createHub } from "../src/index.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import type { PlainClient } from "./clients.ts";
import { forgetfulLog } from "./forgetful-log.ts";
import { connect, contracts, host } from "./house.ts";

const start = (limits: object) => startHub({ contracts, limits });

const limited = {
  ok: false,
  error: { code: "RATE_LIMITED", retryable: true, retryAfterMs: expect.any(Number) },
};
interface Limited {
  readonly error: { readonly code: string; readonly retryAfterMs: number };
}
const isLimited = (reply: { readonly ok: boolean } & Partial<Limited>) =>
  reply.error?.code === "RATE_LIMITED";

/** Says them at once, without waiting for a receipt. */
const sayAll = (client: PlainClient, count: number, event = "said") =>
  Promise.all(Array.from({ length: count }, (_, place) => client.say(event, { id: `${place}` })));

const count = (replies: readonly Receipt[]) => replies.filter(({ ok }) => ok).length;

describe("a connection that says more than it may", () => {
  it("is refused what is beyond, with the time to wait, and nobody hears of that", async () => {
    await using hub = await start({ eventsPerSecond: 1, eventsAtOnce: 3 });
    await using client = await connect(hub, { ...host, events: [] });
    await using listener = await connect(hub, { role: "guest", id: "g" });
    const replies = await sayAll(client, 5);
    expect(replies.map(({ ok }) => ok)).toEqual([true, true, true, false, false]);
    expect(replies[3]).toMatchObject(limited);
    expect((replies[3] as unknown as Limited).error.retryAfterMs).toBeGreaterThan(0);
    await using other = await connect(hub, { role: "guest", id: "other", events: [] });
    expect(await other.say("said", { id: "end" })).toMatchObject({ ok: true });
    expect((await listener.take(4)).map(({ data }) => data.id)).toEqual(["0", "1", "2", "end"]);
  });

  it("may go on when the time is over that it was told, and not before", async () => {
    await using hub = await start({ eventsPerSecond: 5, eventsAtOnce: 1 });
    await using client = await connect(hub, { ...host, events: [] });
    const beganMs = performance.now();
    const [, refused] = await sayAll(client, 2);
    const { retryAfterMs } = (refused as unknown as Limited).error;
    // One comes back in 200 ms, and what the refusal has taken in a quarter of that.
    expect(retryAfterMs).toBeLessThanOrEqual(250);
    const untilMs = performance.now() + retryAfterMs;
    while (performance.now() < untilMs) await sleep(1); // one timer alone may be a little early
    expect(await client.say("said", { id: "again" })).toMatchObject({ ok: true });
    expect(performance.now() - beganMs).toBeGreaterThan(200);
  });

  it("is let through in the end though it asks again and again, but no sooner than it was told", async () => {
    await using hub = await start({ eventsPerSecond: 5, eventsAtOnce: 1 });
    await using client = await connect(hub, { ...host, events: [] });
    const [, refused] = await sayAll(client, 2);
    const beganMs = performance.now();
    while (!(await client.say("said", { id: "again" })).ok);
    const { retryAfterMs } = (refused as unknown as Limited).error;
    // Timers of the hub and of the test differ by a little.
    expect(performance.now() - beganMs).toBeGreaterThan(retryAfterMs - 50);
  });

  it("is refused events that are not kept, and questions, just as well", async () => {
    await using hub = await start({ eventsPerSecond: 1, eventsAtOnce: 2 });
    await using client = await connect(hub, { ...host, protocol: 1 });
    expect(count(await sayAll(client, 3, "waved"))).toBe(2);
    const asked = { event: "said", data: {}, to: { role: "host" } };
    expect(await client.socket.emitWithAck("hub:ask", asked)).toMatchObject(limited);
  });

  it("has each event of a batch counted: one that begins passes whole, and the next one waits the longer", async () => {
    await using hub = await start({ eventsPerSecond: 1, eventsAtOnce: 2 });
    await using client = await connect(hub, { ...host, protocol: 1 });
    const batch = Array.from({ length: 100 }, (_, place) => ["said", { id: `${place}` }]);
    const { receipts } = await client.socket.emitWithAck("hub:emit", batch);
    expect(count(receipts)).toBe(100);
    const { error } = await client.socket.emitWithAck("hub:emit", batch);
    expect(error.code).toBe("RATE_LIMITED");
    expect(error.retryAfterMs).toBeGreaterThan(90_000);
  });

  it("has a batch without events counted as one, and one that is too large as the largest", async () => {
    await using hub = await start({ eventsPerSecond: 1, eventsAtOnce: 10, batchEvents: 10 });
    await using client = await connect(hub, { ...host, protocol: 1 });
    const say = (entries: readonly object[]) => client.socket.emitWithAck("hub:emit", entries);
    const empty = await Promise.all(Array.from({ length: 20 }, () => say([])));
    expect(empty[0]).toEqual({ ok: true, receipts: [] });
    expect(empty.at(-1)).toMatchObject(limited);

    await using other = await connect(hub, { ...host, id: "other", protocol: 1 });
    const tooMany = Array.from({ length: 1_000 }, (_, place) => ["said", { id: `${place}` }]);
    const refused = await other.socket.emitWithAck("hub:emit", tooMany);
    expect(refused.error.code).toBe("BATCH_TOO_LARGE");
    await sayAll(other, 1);
    const { error } = await other.socket.emitWithAck("hub:emit", tooMany);
    expect(error).toMatchObject({ code: "RATE_LIMITED" });
    expect(error.retryAfterMs).toBeLessThan(10_000);
  });

  it("is refused what it says after it has answered the hub too often, for that counts too", async () => {
    await using hub = await start({ eventsPerSecond: 1, eventsAtOnce: 20 });
    await using client = await connect(hub, { ...host, protocol: 1 });
    const reply = { id: "none", data: {} };
    for (let n = 0; n < 25; n += 1) {
      expect(isLimited(await client.socket.emitWithAck("hub:reply", reply))).toBe(false);
    }
    expect(await client.say("said", { id: "a" })).toMatchObject(limited);
  });

  it("is refused what it says after it has settled claims with as much, for that counts too", async () => {
    await using hub = await start({ eventsPerSecond: 1, eventsAtOnce: 20 });
    await using client = await connect(hub, { ...host, protocol: 1 });
    const claimed = client.next("hub:claims");
    await client.socket.emitWithAck("hub:work", { group: "g", events: ["said"], capacity: 1 });
    await client.say("said", { id: "work" });
    const { claims } = (await claimed) as { claims: { offset: number; token: number }[] };
    const events = Array.from({ length: 25 }, (_, place) => ["mood", { who: `${place}`, mood: "good" }]);
    const settles = claims.map(({ offset, token }) => ({ offset, token, outcome: "done", events }));
    const { replies } = await client.socket.emitWithAck("hub:settle", { group: "g", settles });
    expect(count(replies[0].receipts)).toBe(25);
    expect(await client.say("said", { id: "a" })).toMatchObject(limited);
  });

  it("is refused what it says after it has settled too many claims of which nothing comes, for that counts too", async () => {
    await using hub = await start({ eventsPerSecond: 1, eventsAtOnce: 20 });
    await using client = await connect(hub, { ...host, protocol: 1 });
    const settles = Array.from({ length: 25 }, (_, place) => ({
      offset: place + 1,
      token: 1,
      outcome: "back",
    }));
    await client.socket.emitWithAck("hub:settle", { group: "g", settles });
    expect(await client.say("said", { id: "a" })).toMatchObject(limited);
  });

  it("has one history at a time, and is told when it may ask for the next", async () => {
    await using hub = await start({});
    await using client = await connect(hub, { ...host, protocol: 1 });
    const ask = () => client.socket.emitWithAck("hub:history", { key: "k" });
    const [first, second] = await Promise.all([ask(), ask()]);
    expect(first).toEqual({ ok: true, entries: [] });
    expect(second).toMatchObject({ error: { code: "RATE_LIMITED", retryAfterMs: 100 } });
    expect(await ask()).toEqual(first);
  });

  it("is refused what it asks of the hub itself; what answers the hub is counted, and not refused", async () => {
    await using hub = await start({ requestsPerSecond: 1, requestsAtOnce: 3 });
    await using client = await connect(hub, { ...host, protocol: 1 });
    const ask = (message: string, request: object) => client.socket.emitWithAck(message, request);
    const listen = { events: ["said"] };
    // To join the namespace was the first.
    const replies = [
      ask("hub:listen", listen),
      ask("hub:followers", {}),
      ask("hub:listen", { events: [] }),
      ask("hub:follow", { as: "f", events: ["said"] }),
      ask("hub:history", { key: "k" }),
      ask("hub:who", {}),
      ask("hub:renew", { token: "none" }),
      ask("hub:reply", { id: "none", data: {} }),
      ask("hub:settle", { group: "g", settles: [] }),
      ask("hub:hold", { group: "g", claims: [] }),
      ask("hub:unfollow", { as: "f" }),
      ask("hub:unwatch", {}),
      ask("hub:unanswer", { event: "said" }),
    ];
    expect((await Promise.all(replies)).map(isLimited)).toEqual([
      ...[false, false, true, true, true, true, true],
      ...[false, false, false, false, false, false],
    ]);
    // It hears what it heard before.
    expect(await client.say("said", { id: "a" })).toMatchObject({ ok: true });
    expect((await client.take(1)).map(({ data }) => data.id)).toEqual(["a"]);
  });
});

describe("a satellite with several connections", () => {
  const connectAll = (hub: TestHub, auths: readonly object[]) =>
    Promise.all(auths.map((auth) => connect(hub, { events: [], ...auth })));

  it("may say no more than its rate with all of them together", async () => {
    await using hub = await start({ eventsPerSecondPerSatellite: 1, eventsAtOnce: 2 });
    const clients = await connectAll(hub, [host, host, host, { role: "guest", id: "g" }]);
    const passed: number[] = [];
    for (const client of clients) passed.push(count(await sayAll(client, 2)));
    // What one connection may say at once, and a little that comes back meanwhile.
    expect(passed[0]).toBe(2);
    expect(passed.slice(0, 3).reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(3);
    expect(passed[3]).toBe(2);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });

  it("does not begin anew with a new connection", async () => {
    await using hub = await start({ requestsPerSecondPerSatellite: 1, requestsAtOnce: 3 });
    const replies: boolean[] = [];
    for (let connection = 0; connection < 4; connection += 1) {
      await using client = await connect(hub, { ...host, protocol: 1 });
      for (let asked = 0; asked < 2; asked += 1) {
        replies.push(isLimited(await client.socket.emitWithAck("hub:followers", {})));
      }
    }
    expect(replies.slice(0, 3)).toEqual([false, false, false]);
    expect(replies.slice(3)).toContain(true);
  });
});

describe("a batch that is refused for its rate", () => {
  const say = ({ socket }: PlainClient, ...ids: string[]) =>
    socket.emitWithAck(
      "hub:emit",
      ids.map((id) => ["said", { id }, { id }]),
    );
  /** Says it until it is not refused for its rate any more, each time when it may. */
  const insist = async <Reply extends Parameters<typeof isLimited>[0]>(
    say: () => Promise<Reply>,
  ): Promise<Reply> => {
    for (;;) {
      const reply = await say();
      if (!isLimited(reply)) return reply;
      await sleep(reply.error?.retryAfterMs);
    }
  };
  const many = Array.from({ length: 250 }, (_, place) => `many-${place}`);
  const kept = async ({ log }: TestHub) =>
    (await log.read({ after: many.length })).events.map(({ id }) => id);
  /** Its rate is used up for half a second. */
  const startUsed = async () => {
    const hub = await start({ eventsPerSecond: 500, eventsAtOnce: 1, resendMs: 60_000 });
    return { hub, client: await connect(hub, { ...host, protocol: 1, events: [] }) };
  };

  it("is not overtaken by what was on its way behind it", async () => {
    const { hub, client } = await startUsed();
    const [first, ...behind] = await Promise.all([
      say(client, ...many),
      say(client, "a"),
      say(client, "b", "c"),
      say(client, "d"),
    ]);
    expect(count(first.receipts)).toBe(many.length);
    expect(behind).toMatchObject([limited, limited, limited]);
    // What is not kept is held up by its rate alone: when that may pass, the others still may not.
    await insist(() => client.socket.emitWithAck("hub:emit", [["waved", { id: "w" }]]));
    expect(await say(client, "b", "c")).toMatchObject(limited);
    await insist(async () => {
      const reply = await say(client, "a");
      if (isLimited(reply)) expect(await say(client, "b", "c")).toMatchObject(limited);
      return reply;
    });
    await insist(() => say(client, "b", "c"));
    await insist(() => say(client, "d"));
    expect(await kept(hub)).toEqual(["a", "b", "c", "d"]);
    await client[Symbol.asyncDispose]();
    await hub[Symbol.asyncDispose]();
  });

  it("holds nothing up when its first event is refused for good", async () => {
    const { hub, client } = await startUsed();
    const wrong = [
      ["said", { id: 7 }, { id: "wrong" }],
      ["said", { id: "a" }, { id: "a" }],
    ];
    const [, refused] = await Promise.all([
      say(client, ...many),
      client.socket.emitWithAck("hub:emit", wrong),
    ]);
    expect(refused).toMatchObject(limited);
    const reply = await insist(() => client.socket.emitWithAck("hub:emit", wrong));
    expect(reply.receipts).toMatchObject([{ error: { code: "DATA_INVALID" } }, { ok: true }]);
    expect(await kept(hub)).toEqual(["a"]);
    await client[Symbol.asyncDispose]();
    await hub[Symbol.asyncDispose]();
  });

  it("has to wait the longer, the more is said behind it meanwhile", async () => {
    await using hub = await start({
      eventsPerSecond: 1, // so little comes back while they are said
      eventsAtOnce: 400,
      debtEvents: 100_000,
      resendMs: 60_000,
    });
    await using client = await connect(hub, { ...host, protocol: 1, events: [] });
    await say(client, ...many);
    await say(client, ...many.map((id) => `${id}-again`));
    const first = await say(client, "a");
    await Promise.all(Array.from({ length: 400 }, (_, place) => say(client, `behind-${place}`)));
    const again = await say(client, "a");
    expect(again).toMatchObject(limited);
    expect(again.error.retryAfterMs).toBeGreaterThan(first.error.retryAfterMs);
  });

  it("is not overtaken where it was refused for another reason before, and what came behind it for its rate", async () => {
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const limits = { queueBytes: 1, eventsPerSecond: 1, eventsAtOnce: 4, resendMs: 60_000 };
    const hub = createHub({ contracts, log: forgetfulLog(() => gate), limits });
    const url = await hub.listen({ port: 0 });
    await using client = await connect({ url }, { ...host, protocol: 1, events: [] });
    // The log writes the first one when the marker is answered; the second one fills the queue.
    const written = say(client, "first");
    await client.say("waved", { id: "marker" });
    const queued = say(client, "second");
    const refusals = await Promise.all([say(client, "a"), say(client, "b")]);
    expect(refusals).toMatchObject([
      { receipts: [{ error: { code: "HUB_BUSY" } }] },
      { error: { code: "RATE_LIMITED" } },
    ]);
    open();
    await Promise.all([written, queued]);
    for (const id of ["a", "b"]) {
      expect(await insist(() => say(client, id))).toMatchObject({ receipts: [{ ok: true }] });
    }
    await hub.close();
  });

  it("holds up nothing that others say", async () => {
    const { hub, client } = await startUsed();
    await using other = await connect(hub, { role: "guest", id: "g", protocol: 1 });
    const [, refused] = await Promise.all([say(client, ...many), say(client, "a")]);
    expect(refused).toMatchObject(limited);
    expect(await say(other, "others'")).toMatchObject({ ok: true });
    await client[Symbol.asyncDispose]();
    await hub[Symbol.asyncDispose]();
  });
});
