import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { WebSocket } from "ws";
import { createHub } from "../src/index.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { RawClient, refusal } from "./clients.ts";
import { forgetfulLog } from "./forgetful-log.ts";
import { key, manor, refusalOf, say, startManor, tokenOf, Visitor, visit } from "./manor.ts";
import { hubEndOf, readOn, stall } from "./stall.ts";

const ok = expect.objectContaining({ ok: true });
const revoked = { code: "TOKEN_REVOKED", reason: "io server disconnect" };
const minuteAgo = () => Date.now() - 60_000;
const lifetimeMs = 3_600_000;
const records = async ({ log }: TestHub) => Object.fromEntries(await log.records("revoked/"));

describe("when a satellite's tokens are revoked", () => {
  it("its connections are told and closed, and no others; it is let in again with a token that is issued later", async () => {
    await using hub = await startManor({ limits: { sessionCheckMs: 600_000 } });
    const token = await tokenOf("guest:g", { issuedMs: minuteAgo(), lifetimeMs });
    await using one = await visit(hub, "guest:g", token);
    await using two = await visit(hub, "guest:g", token);
    await using other = await visit(
      hub,
      "guest:other",
      await tokenOf("guest:other", { issuedMs: minuteAgo() + 5_000 }),
    );
    const startMs = Date.now();
    await hub.hub.revoke({ satellite: "guest:g", issuedBefore: minuteAgo() + 1_000 });
    expect(await Promise.all([one.closed, two.closed])).toEqual([revoked, revoked]);
    expect(Date.now() - startMs).toBeLessThan(1_000);
    expect(await refusalOf(hub, { token })).toBe("TOKEN_REVOKED");
    expect(await other.say("said", { id: "a" })).toEqual(ok);
    await using again = await visit(hub, "guest:g");
    expect(await again.say("said", { id: "b" })).toEqual(ok);
  });

  it("those count that were issued up to that second, and no later ones", async () => {
    await using hub = await startManor();
    const second = Math.floor(minuteAgo() / 1_000) * 1_000;
    const at = (issuedMs: number) => tokenOf("guest:g", { issuedMs, lifetimeMs });
    await using later = await visit(hub, "guest:g", at(second + 1_000));
    await hub.hub.revoke({ satellite: "guest:g", issuedBefore: second });
    expect(await refusalOf(hub, { token: await at(second) })).toBe("TOKEN_REVOKED");
    expect(await later.ask("hub:renew", { token: await at(second) })).toEqual(refusal("TOKEN_REVOKED"));
    // Its own is good, and stays so.
    expect(await later.say("said", { id: "a" })).toEqual(ok);
    expect(await later.ask("hub:renew", { token: await at(second + 1_000) })).toEqual(ok);
  });

  it("they stay so when the hub starts again, from the first handshake on", async () => {
    await using hub = await startManor();
    const token = await tokenOf("guest:g", { issuedMs: minuteAgo(), lifetimeMs });
    await hub.hub.revoke({ satellite: "guest:g" });
    await hub.stop();
    await hub.start();
    expect(await refusalOf(hub, { token })).toBe("TOKEN_REVOKED");
    await (await visit(hub, "guest:other", tokenOf("guest:other", { issuedMs: minuteAgo(), lifetimeMs })))[
      Symbol.asyncDispose
    ]();
  });

  it("an earlier revocation takes no later one back, also when the hub has started in between", async () => {
    await using hub = await startManor();
    const second = Math.floor(minuteAgo() / 1_000) * 1_000;
    const token = await tokenOf("guest:g", { issuedMs: second, lifetimeMs });
    await hub.hub.revoke({ satellite: "guest:g", issuedBefore: second });
    await hub.hub.revoke({ satellite: "guest:g", issuedBefore: 7 });
    expect(await refusalOf(hub, { token })).toBe("TOKEN_REVOKED");
    await hub.stop();
    await hub.start();
    await hub.hub.revoke({ satellite: "guest:g", issuedBefore: 8 });
    expect(await records(hub)).toEqual({ "revoked/guest:g": JSON.stringify({ issuedBefore: second }) });
  });

  it("one that catches up gets no further page, and one that does not read is cut off", async () => {
    await using hub = await startManor({ limits: { tailBytes: 1_000, closeMs: 100 } });
    await using speaker = await visit(hub, "host:h");
    await say(
      speaker,
      "said",
      Array.from({ length: 2_500 }, (_one, place) => `${place}`),
    );
    const auth = { token: await tokenOf("guest:g"), protocol: 1 };
    await using visitor = await new RawClient(hub.url).join("/manor", auth);
    await using deaf = await visit(hub, "guest:deaf");
    visitor.send('42/manor,0["hub:listen",{"events":["said"],"after":"start"}]');
    const page = await visitor.until((frame) => frame.includes('["hub:events"'));
    stall(deaf);
    const { transport } = hubEndOf(hub, "deaf", manor).conn as unknown as {
      transport: { socket: WebSocket };
    };
    const gone = new Promise((resolve) => transport.socket.once("close", resolve));
    await hub.hub.revoke();
    visitor.send(`43/manor,${/^42\/manor,(\d+)/.exec(page)?.[1]}[null]`);
    await visitor.closed();
    await gone;
    readOn(deaf);
    expect(visitor.frames.filter((frame) => frame.includes('["hub:events"'))).toEqual([page]);
    expect(visitor.frames.some((frame) => frame.includes('["hub:close",{"code":"TOKEN_REVOKED"'))).toBe(true);
  });

  it("one that was let in just before is closed as well", async () => {
    await using hub = await startManor({ limits: { sessionCheckMs: 600_000 } });
    // What an application does after the hub has checked the token, and before the connection is there.
    const revoke = async (next: () => void) => {
      await hub.hub.revoke();
      next();
    };
    hub.hub.namespace(manor).use((_socket, next) => void revoke(next));
    await using visitor = new Visitor(hub, { token: await tokenOf("guest:g") });
    expect(await visitor.closed).toEqual(revoked);
  });

  it("its work goes to others, and what it settles is not taken", async () => {
    await using hub = await startManor({ limits: { graceMs: 1 } });
    await using speaker = await visit(hub, "host:h");
    await using one = await visit(hub, "guest:g");
    const work = { group: "g", events: ["said"], capacity: 1, backoffMs: 0 };
    expect(await one.ask("hub:work", work)).toEqual(ok);
    await say(speaker, "said", ["a"]);
    while (one.claims.length === 0) await one.next("hub:claims");
    await using two = await visit(hub, "guest:other");
    expect(await two.ask("hub:work", work)).toEqual(ok);
    const [claim] = one.claims;
    const revoking = hub.hub.revoke({ satellite: "guest:g" });
    const { offset, token } = claim as { offset: number; token: number };
    one.socket.emit("hub:settle", { group: "g", settles: [{ offset, token, outcome: "done" }] });
    await revoking;
    while (two.claims.length === 0) await two.next("hub:claims");
    expect(two.claims[0]?.offset).toBe(offset);
  });
});

describe("when all tokens are revoked", () => {
  it("everybody is closed, and what is kept of single satellites goes, unless it says more", async () => {
    await using hub = await startManor();
    const laterMs = Date.now() + 3_600_000;
    await hub.hub.revoke({ satellite: "guest:g", issuedBefore: 7 });
    await hub.hub.revoke({ satellite: "guest:later", issuedBefore: laterMs });
    await using one = await visit(hub, "guest:one");
    await using host = await visit(hub, "host:h");
    await hub.hub.revoke();
    expect(await Promise.all([one.closed, host.closed])).toEqual([revoked, revoked]);
    expect(await records(hub)).toEqual({
      "revoked/*": expect.any(String),
      "revoked/guest:later": JSON.stringify({ issuedBefore: laterMs }),
    });
    const token = await tokenOf("guest:g", { issuedMs: minuteAgo(), lifetimeMs });
    expect(await refusalOf(hub, { token })).toBe("TOKEN_REVOKED");
  });
});

describe("a revocation", () => {
  const code = expect.objectContaining({ code: "CONFIG_INVALID" });

  it.each<[string, object]>([
    ["a role that no contract has", { satellite: "guests:g" }],
    ["half a name", { satellite: "guest" }],
    ["no id", { satellite: "guest:" }],
    ["no time", { issuedBefore: Number.NaN }],
    ["a fraction of a millisecond", { issuedBefore: 0.5 }],
  ])("of %s is refused", async (_name, revocation) => {
    await using hub = await startManor();
    await expect(hub.hub.revoke(revocation)).rejects.toEqual(code);
    expect(await records(hub)).toEqual({});
  });

  it("is refused without keys, since nobody would be stopped", async () => {
    await using hub = await startHub({ contracts: [manor] });
    await expect(hub.hub.revoke()).rejects.toEqual(code);
  });

  it("counts at once, though the log refuses it", async () => {
    const log = forgetfulLog(() => Promise.reject(new Error("no disk")));
    const server = createServer();
    const hub = createHub({ contracts: [manor], keys: key, log, server });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await using visitor = await visit({ url }, "guest:g");
    await expect(hub.revoke({ satellite: "guest:g" })).rejects.toThrow("no disk");
    expect(await visitor.closed).toEqual(revoked);
    await hub.close();
    await new Promise((resolve) => server.close(resolve));
  });

  it("that the log cannot tell of lets nobody in, and keeps nobody out for good", async () => {
    let isReadable = false;
    const records = async () => {
      if (!isReadable) throw new Error("no disk");
      return new Map();
    };
    const log = { ...forgetfulLog(), records };
    const server = createServer();
    const hub = createHub({ contracts: [manor], keys: key, log, server });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const token = await tokenOf("guest:g");
    expect(await refusalOf({ url }, { token })).toBe("KEYS_UNAVAILABLE");
    isReadable = true;
    await (await visit({ url }, "guest:g", token))[Symbol.asyncDispose]();
    await hub.close();
    await new Promise((resolve) => server.close(resolve));
  });
});
