import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EventLog, openSqliteLog } from "@orrery/event-log";
import { createHub, defaultLimits, type Logger } from "../src/index.ts";
import { silentLogger } from "../src/logger.ts";
import { Publisher } from "../src/publish.ts";
import { Revocations } from "../src/revocations.ts";
import { startHub } from "../src/testing.ts";
import { Tokens } from "../src/tokens.ts";
import { selfSigned } from "./certificate.ts";
import { PlainClient, RawClient, refusal } from "./clients.ts";
import { forgetfulLog } from "./forgetful-log.ts";
import {
  briefGrace,
  briefTokenOf,
  claimsOf,
  craft,
  key,
  manor,
  refusalOf,
  say,
  startManor,
  tokenOf,
  Visitor,
  visit,
} from "./manor.ts";

const contracts = [manor];
const ok = expect.objectContaining({ ok: true });

describe("a token", () => {
  it("says who its satellite is, in the plain form and in the batched one", async () => {
    await using hub = await startManor();
    const token = await tokenOf("guest:g", { issuedMs: 1_000 * Math.floor(Date.now() / 1_000) });
    await using plain = await new PlainClient(`${hub.url}/manor`, { token }).connected();
    const batched = new Visitor(hub, { token });
    const welcome = await batched.next("hub:welcome");
    expect(welcome).toMatchObject({ satellite: { role: "guest", id: "g" } });
    const { expires } = welcome as { expires: string };
    expect(expires).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/);
    expect(Math.abs(Date.parse(expires) - Date.now() - 60_000)).toBeLessThan(10_000);
    expect(await batched.say("whispered", { id: "a", guest: "g" })).toEqual(ok);
    expect((await plain.take(1)).map(({ meta }) => meta.source)).toEqual(["guest:g"]);
    batched.socket.disconnect();
  });

  it("goes with the role and the id that it says, where the handshake says them too", async () => {
    await using hub = await startManor();
    const token = await tokenOf("guest:g");
    await using visitor = await new Visitor(hub, { token, role: "guest", id: "g" }).connected();
    expect(await visitor.ask("hub:followers")).toEqual(ok);
  });

  it("lets a hub listen on every address", async () => {
    const hub = createHub({ contracts, keys: key, log: forgetfulLog() });
    const url = await hub.listen({ host: "0.0.0.0", port: 0 });
    expect(url).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/);
    const { port } = new URL(url);
    await (await visit({ url: `http://127.0.0.1:${port}` }, "guest:g"))[Symbol.asyncDispose]();
    await hub.close();
  });

  it("travels over https where the hub has a certificate", async () => {
    const tls = selfSigned();
    await using hub = await startManor({ tls });
    expect(hub.url).toMatch(/^https:/);
    const auth = { token: await tokenOf("guest:g") };
    for (const transports of [["websocket"], ["polling"]]) {
      await using visitor = await new Visitor(hub, auth, { ca: tls.cert, transports }).connected();
      expect(await visitor.say("said", { id: "a" })).toEqual(ok);
    }
  });

  it("changes nothing without keys, and the log says so once", async () => {
    const warned: string[] = [];
    const nothing = () => undefined;
    const warn = (_context: object, text: string) => void warned.push(text);
    const logger: Logger = { debug: nothing, info: nothing, error: nothing, warn };
    await using hub = await startHub({ contracts, logger });
    for (const id of ["g", "h"]) {
      await using visitor = await new Visitor(hub, { role: "guest", id, token: "whatever" }).connected();
      expect(await visitor.ask("hub:renew", { token: "whatever" })).toEqual(refusal("MESSAGE_INVALID"));
    }
    expect(warned).toEqual(["a satellite has a token, and the hub no key: it believes the handshake"]);
    // Nobody would have checked who that is.
    expect(await refusalOf(hub, { token: await tokenOf("guest:g") })).toBe("HANDSHAKE_INVALID");
  });
});

describe("a connection", () => {
  it("works on through the grace of a token that has run out, and is then told and closed, though it is idle", async () => {
    await using hub = await startManor({ limits: briefGrace });
    const startMs = Date.now();
    await using visitor = await visit(hub, "guest:g", briefTokenOf("guest:g"));
    expect(await visitor.say("said", { id: "a" })).toEqual(ok);
    expect(await visitor.closed).toEqual({ code: "TOKEN_EXPIRED", reason: "io server disconnect" });
    expect(Date.now() - startMs).toBeLessThan(1_500 + 1_000); // a second after the grace
  });

  it.each(["plain", "batched"])("goes on with a token that it renews, in the %s form", async (form) => {
    await using hub = await startManor({ limits: briefGrace });
    const token = await briefTokenOf("guest:g");
    await using other = await visit(hub, "guest:g", token);
    await using visitor = await new PlainClient(`${hub.url}/manor`, {
      token,
      ...(form === "batched" && { protocol: 1 }),
    }).connected();
    const [issuedMs, lifetimeMs] = [Math.floor(Date.now() / 1_000) * 1_000, 120_000];
    const reply = await visitor.socket.emitWithAck("hub:renew", {
      token: await tokenOf("guest:g", { issuedMs, lifetimeMs }),
    });
    expect(reply).toEqual({ ok: true, expires: new Date(issuedMs + lifetimeMs).toISOString() });
    expect(await other.closed).toMatchObject({ code: "TOKEN_EXPIRED" });
    expect(await visitor.say("said", { id: "a" })).toEqual(ok);
  });

  it("goes on as it was when its renewal is refused", async () => {
    await using hub = await startManor();
    await using visitor = await visit(hub, "guest:g");
    const issuedMs = Date.now() - 120_000;
    const wrong: [unknown, string][] = [
      [{}, "MESSAGE_INVALID"],
      [{ token: 7 }, "MESSAGE_INVALID"],
      [{ token: "a.b.c" }, "TOKEN_INVALID"],
      [{ token: await tokenOf("guest:g", { issuedMs }) }, "TOKEN_EXPIRED"],
      [{ token: await tokenOf("guest:g", { contract: "house" }) }, "TOKEN_INVALID"],
      [{ token: await tokenOf("guest:other") }, "TOKEN_OF_ANOTHER"],
    ];
    for (const [request, code] of wrong) {
      expect(await visitor.socket.emitWithAck("hub:renew", request)).toEqual(refusal(code));
    }
    expect(await visitor.socket.emitWithAck("hub:renew")).toEqual(refusal("MESSAGE_INVALID"));
    expect(await visitor.say("whispered", { id: "a", guest: "g" })).toEqual(ok);
  });

  it("may have its renewals refused only so often: then it has to wait, and goes on as it was", async () => {
    await using hub = await startManor({ limits: { requestsPerSecond: 1, requestsAtOnce: 5 } });
    await using visitor = await visit(hub, "guest:g");
    const codes: (string | undefined)[] = [];
    for (let n = 0; n < 10; n += 1) {
      codes.push((await visitor.ask("hub:renew", { token: "a.b.c" })).error?.code);
    }
    expect(codes.slice(0, 4)).toEqual(Array(4).fill("TOKEN_INVALID")); // to connect was the first
    expect(codes.at(-1)).toBe("RATE_LIMITED");
    expect(await visitor.say("said", { id: "a" })).toEqual(ok);
  });

  it("renews once at a time", async () => {
    await using hub = await startManor();
    await using visitor = await visit(hub, "guest:g");
    const request = { token: await tokenOf("guest:g") };
    const renewals = [request, request].map((one) => visitor.ask("hub:renew", one));
    expect(await Promise.all(renewals)).toEqual(expect.arrayContaining([ok, refusal("MESSAGE_INVALID")]));
    expect(await visitor.ask("hub:renew", request)).toEqual(ok);
  });
});

/** The hub looks so seldom that a connection whose session is over is still there. */
const seldom = { ...briefGrace, sessionCheckMs: 600_000 };

describe("while a connection whose session is over is still there", () => {
  it("nothing is done for it, whatever it says", async () => {
    await using hub = await startManor({ limits: seldom });
    await using visitor = await visit(hub, "guest:g", briefTokenOf("guest:g"));
    expect(await visitor.over()).toBe("TOKEN_EXPIRED");
    const claim = { offset: 1, token: 1 };
    const messages: Record<string, unknown[]> = {
      said: [{ id: "a" }],
      "hub:emit": [[["said", { id: "a" }]]],
      "hub:listen": [{ events: ["said"], after: "start" }],
      "hub:follow": [{ as: "f", events: ["said"] }],
      "hub:work": [{ group: "g", events: ["said"], capacity: 1 }],
      "hub:hold": [{ group: "g", claims: [claim] }],
      "hub:settle": [{ group: "g", settles: [{ ...claim, outcome: "done" }] }],
      "hub:history": [{ key: "a" }],
      "hub:ask": [{ event: "riddle", data: { id: "a" }, to: { role: "guest" } }],
      "hub:answer": [{ event: "riddle" }],
      "hub:reply": [{ id: "a", data: { id: "a" } }],
      "hub:renew": [{ token: await tokenOf("guest:g") }],
      anything: [],
    };
    const replies: Record<string, unknown> = {};
    for (const [name, args] of Object.entries(messages))
      replies[name] = await visitor.socket.emitWithAck(name, ...args);
    const expected = Object.keys(messages).map((name) => [name, refusal("TOKEN_EXPIRED")]);
    expect(replies).toEqual(Object.fromEntries(expected));
    expect(hub.log.head).toBe(0);
  });

  it.each<[string, string, object, object]>([
    ["page of what it catches up with", "hub:events", { events: ["said"], after: "start" }, {}],
    ["part of a page", "hub:events", { events: ["said"], after: "start" }, { messageBytes: 20_000 }],
    ["page of last values", "hub:latest", { events: ["mood"] }, {}],
  ])("it gets no further %s", async (_name, message, request, limits) => {
    await using hub = await startManor({ limits: { ...seldom, tailBytes: 1_000, ...limits } });
    await using speaker = await visit(hub, "host:h");
    const ids = Array.from({ length: 2_500 }, (_one, place) => `${place}`);
    await say(speaker, "said", ids);
    await say(speaker, "mood", ids);
    const auth = { token: await briefTokenOf("guest:g"), protocol: 1 };
    await using visitor = await new RawClient(hub.url).join("/manor", auth);
    await using other = await visit(hub, "guest:other");
    const pages = () => visitor.frames.filter((frame) => frame.includes(`["${message}"`));
    visitor.send(`42/manor,0["hub:listen",${JSON.stringify(request)}]`);
    const first = await visitor.until((frame) => frame.includes(`["${message}"`));
    for (let count = 1; !visitor.frames.at(-1)?.includes("TOKEN_EXPIRED"); count += 1) {
      visitor.send(`42/manor,${count}["hub:followers",{}]`);
      await visitor.until((frame) => frame.startsWith(`43/manor,${count}[`));
    }
    visitor.send(`43/manor,${/^42\/manor,(\d+)/.exec(first)?.[1]}[null]`);
    // When another one that goes the same way has had all of it, it would have had the next one.
    expect(await other.ask("hub:listen", request)).toEqual(ok);
    await other.take(2_500);
    for (const event of ["said", "mood"]) await say(speaker, event, ["live"]);
    await other.take(1);
    visitor.send('42/manor,0["hub:followers",{}]');
    await visitor.until((frame) => frame.startsWith("43/manor,0[") && frame.includes("TOKEN_EXPIRED"));
    expect(pages()).toEqual([first]);
  });

  it("it gets no delivery, and nothing that is redriven", async () => {
    await using hub = await startManor({ limits: seldom });
    await using speaker = await visit(hub, "host:h");
    await using visitor = await visit(hub, "guest:g", briefTokenOf("guest:g"));
    await using same = await visit(hub, "guest:g");
    expect(await visitor.ask("hub:follow", { as: "f", events: ["said"] })).toEqual(ok);
    visitor.answer = { parked: [{ offset: 1, attempts: 1, error: "e" }] };
    await say(speaker, "said", ["a"]);
    while ((await same.ask<{ parked: unknown[] }>("hub:parked", { as: "f" })).parked.length === 0);
    expect(await visitor.ask("hub:listen", { events: ["said"] })).toEqual(ok);
    expect(await visitor.over()).toBe("TOKEN_EXPIRED");
    visitor.heard.length = 0;
    await say(speaker, "said", ["b"]);
    await visitor.take(1); // live, until it is closed
    expect(await same.ask("hub:redrive", { as: "f", offset: 1 })).toEqual(refusal("FOLLOWER_AWAY"));
    expect(await visitor.over()).toBe("TOKEN_EXPIRED");
    expect(visitor.delivered.length).toBe(1);
  });

  it("it gets no claims: others do", async () => {
    await using hub = await startManor({ limits: seldom });
    await using speaker = await visit(hub, "host:h");
    await using visitor = await visit(hub, "guest:g", briefTokenOf("guest:g"));
    await using other = await visit(hub, "guest:other");
    const work = { group: "g", events: ["said"], capacity: 10 };
    expect(await visitor.ask("hub:work", work)).toEqual(ok);
    expect(await other.ask("hub:work", work)).toEqual(ok);
    expect(await visitor.over()).toBe("TOKEN_EXPIRED");
    const ids = ["a", "b", "c", "d"];
    await say(speaker, "said", ids);
    while (other.claims.length < 4) await other.next("hub:claims");
    expect(other.claims.map(({ event: [, , { subject, attempt }] }) => [subject, attempt])).toEqual(
      ids.map((id) => [id, 1]),
    );
  });

  it("it gets no claim that was on its way to disk: another one does", async () => {
    const directory = await mkdtemp(join(tmpdir(), "orrery-"));
    const log = await openSqliteLog({ file: join(directory, "events.db") });
    let write: () => void = () => undefined;
    const writable = new Promise<void>((resolve) => {
      write = resolve;
    });
    let isWriting: () => void = () => undefined;
    const writing = new Promise<void>((resolve) => {
      isWriting = resolve;
    });
    const append: EventLog["append"] = async (batch, records, wholes = []) => {
      if (wholes.some((whole) => whole.records.some(({ name }) => name.startsWith("claim/")))) {
        isWriting();
        await writable;
      }
      return log.append(batch, records, wholes);
    };
    const slow = new Proxy(log, {
      get: (target, name) => {
        if (name === "append") return append;
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const hub = createHub({ contracts, keys: key, log: slow, limits: seldom });
    const url = await hub.listen({ port: 0 });
    {
      await using speaker = await visit({ url }, "host:h");
      await using visitor = await visit({ url }, "guest:g", briefTokenOf("guest:g"));
      await using other = await visit({ url }, "guest:other");
      const work = { group: "g", events: ["said"], capacity: 10 };
      expect(await visitor.ask("hub:work", work)).toEqual(ok);
      expect(await other.ask("hub:work", work)).toEqual(ok);
      await say(speaker, "said", ["a"]);
      await writing;
      expect(await visitor.over()).toBe("TOKEN_EXPIRED");
      write();
      while (other.claims.length === 0) await other.next("hub:claims");
      expect(visitor.claims).toEqual([]);
    }
    await hub.close();
    await log.close();
    await rm(directory, { recursive: true });
  });

  it("it is asked nothing", async () => {
    await using hub = await startManor({ limits: seldom });
    await using host = await visit(hub, "host:h");
    await using visitor = await visit(hub, "guest:g", briefTokenOf("guest:g"));
    expect(await visitor.ask("hub:answer", { event: "riddle" })).toEqual(ok);
    expect(await visitor.over()).toBe("TOKEN_EXPIRED");
    const question = { event: "riddle", data: { id: "a" }, to: { satellite: "guest:g" } };
    expect(await host.ask("hub:ask", question)).toEqual(refusal("NOBODY_THERE"));
  });
});

describe("when tokens cannot be checked", () => {
  /** As a set's key would have signed it. */
  const token = () => craft(claimsOf("guest:g"), { alg: "EdDSA" });
  const silent = async () => {
    const server = createServer(() => undefined);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const jwksUrl = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`);
    const stop = async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    return { jwksUrl, [Symbol.asyncDispose]: stop };
  };

  it("a satellite is told so, and may come again", async () => {
    const { jwksUrl, ...server } = await silent();
    await server[Symbol.asyncDispose]();
    await using hub = await startManor({ keys: { jwksUrl } });
    await using visitor = new Visitor(hub, { token: token() });
    expect(await visitor.refused()).toMatchObject({ code: "KEYS_UNAVAILABLE", retryable: true });
  });

  it("a connection waits no longer than for a handshake, nor a renewal", async () => {
    await using server = await silent();
    const { jwksUrl } = server;
    await using hub = await startManor({ keys: { jwksUrl }, limits: { connectTimeoutMs: 100 } });
    await using visitor = new RawClient(hub.url);
    await visitor.until((frame) => frame.startsWith("0"));
    visitor.send(`40/manor,${JSON.stringify({ token: token() })}`);
    await visitor.closed();

    const log = { ...forgetfulLog(), records: () => new Promise<never>(() => undefined) };
    const publisher = new Publisher(log, defaultLimits, silentLogger, () => undefined);
    const revocations = new Revocations(log, publisher, new Set());
    const limits = { ...defaultLimits, connectTimeoutMs: 50 };
    const tokens = new Tokens(key, revocations, limits, silentLogger);
    expect(await tokens.known(token(), manor)).toBe("KEYS_UNAVAILABLE");
  });
});

describe("a hub refuses to start", () => {
  const code = expect.objectContaining({ code: "CONFIG_INVALID" });

  it.each(["*", "null", "shop.example", "https://shop.example/", "HTTPS://shop.example", "https://a.b:443"])(
    "where %s is to be an origin",
    (origin) => {
      expect(() => createHub({ contracts, keys: key, log: forgetfulLog(), origins: [origin] })).toThrow(code);
    },
  );

  it("with a certificate that is none, and says nothing of the key", () => {
    const tls = { cert: "none", key: "a secret" };
    expect(() => createHub({ contracts, log: forgetfulLog(), tls })).toThrow(code);
    expect(() => createHub({ contracts, log: forgetfulLog(), tls })).not.toThrow(/secret/);
  });

  it("with a certificate beside a server that has its own", () => {
    const tls = selfSigned();
    expect(() => createHub({ contracts, log: forgetfulLog(), tls, server: createServer() })).toThrow(code);
  });
});
