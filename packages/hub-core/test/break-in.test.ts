// Each of these is an attempt to get in, or to be somebody else; `rights.test.ts` has those of who is in.
import { randomBytes } from "node:crypto";
import { createConnection } from "node:net";
import { inspect } from "node:util";
import { errorBody } from "@orrery/contracts";
import { keyFrom } from "@orrery/tokens";
import { WebSocket } from "ws";
import type { Logger } from "../src/index.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { RawClient, refusal } from "./clients.ts";
import {
  claimsOf,
  craft,
  key,
  manor,
  nowSeconds,
  refusalOf,
  startManor,
  tokenOf,
  Visitor,
  visit,
} from "./manor.ts";

const contracts = [manor];
const polling = "/socket.io/?EIO=4&transport=polling";
const upgrade = "/socket.io/?EIO=4&transport=websocket";

describe("a handshake is refused", () => {
  it("with a token that is not good, without a word on what is wrong with it", async () => {
    const good = claimsOf("guest:g");
    const another = keyFrom({ kty: "oct", k: Buffer.alloc(32, 9).toString("base64url") });
    const [head, , signature] = craft(good).split(".");
    const wrong = {
      "no token": "guest:g",
      "one that says it needs no signature": craft(good, { alg: "none" }),
      "one without the signature": craft(good).replace(/[^.]+$/, ""),
      "somebody else's claims": `${head}.${craft(claimsOf("host:h")).split(".")[1]}.${signature}`,
      "of another key": await tokenOf("guest:g", { by: another }),
      "of another contract": await tokenOf("guest:g", { contract: "house" }),
      "a role that the contract has not": await tokenOf("king:k"),
      "a role of JavaScript's own": await tokenOf("constructor:k"),
      "without an end": craft({ ...good, exp: undefined }),
      "too long, but good": craft({ ...good, more: "x".repeat(8_192) }),
    };
    await using hub = await startManor();
    const answers: Record<string, string> = {};
    for (const [name, token] of Object.entries(wrong)) answers[name] = await refusalOf(hub, { token });
    const expected = Object.keys(wrong).map((name) => [name, "TOKEN_INVALID"]);
    expect(answers).toEqual(Object.fromEntries(expected));
    const expired = await tokenOf("guest:g", { issuedMs: Date.now() - 70_000 });
    expect(await refusalOf(hub, { token: expired })).toBe("TOKEN_EXPIRED");
  });

  it("without a token, wherever else it says one", async () => {
    await using hub = await startManor();
    const token = await tokenOf("guest:g");
    const elsewhere = [{ query: { token } }, { extraHeaders: { authorization: `Bearer ${token}` } }];
    for (const options of elsewhere) expect(await refusalOf(hub, {}, options)).toBe("HANDSHAKE_INVALID");
    expect(await refusalOf(hub, { role: "guest", id: "g" })).toBe("HANDSHAKE_INVALID");
    expect(await refusalOf(hub, { token: [token] })).toBe("HANDSHAKE_INVALID");
  });

  it("without a token, and says that this is what is missing", async () => {
    await using hub = await startManor();
    await using visitor = new Visitor(hub, { role: "guest", id: "g" });
    const message = "expected a token: the hub has keys, and lets nobody in without one";
    expect((await visitor.refused()).issues).toEqual([{ path: "token", message }]);
  });

  it("with a role or an id that are not the token's", async () => {
    await using hub = await startManor();
    const token = await tokenOf("guest:g");
    for (const said of [{ role: "host" }, { id: "h" }, { role: "host", id: "g" }])
      expect(await refusalOf(hub, { token, ...said })).toBe("TOKEN_OF_ANOTHER");
  });

  it("while the connection's other one is being checked", async () => {
    await using hub = await startManor();
    await using client = new RawClient(hub.url);
    await client.until((frame) => frame.startsWith("0"));
    const connect = async (satellite: string) =>
      client.send(`40/manor,${JSON.stringify({ token: await tokenOf(satellite) })}`);
    await Promise.all([connect("guest:g"), connect("guest:other")]);
    await client.until((frame) => frame.startsWith("44/manor,") && frame.includes("HANDSHAKE_INVALID"));
    await client.until((frame) => frame.startsWith("40/manor,"));
    expect(hub.hub.namespace(manor).sockets.size).toBe(1);
  });

  it("and the connection ended, after ten tokens that are not good", async () => {
    await using hub = await startManor();
    await using client = new RawClient(hub.url);
    await client.until((frame) => frame.startsWith("0"));
    const refusals = () => client.frames.filter((frame) => frame.startsWith("44"));
    while (client.socket.readyState === WebSocket.OPEN) {
      const before = refusals().length;
      client.send('40/manor,{"token":"a.b.c"}');
      await client.until(() => refusals().length > before).catch(() => undefined); // it is closed
    }
    expect(refusals().length).toBe(10);
  });

  it("of an Engine.IO client of long ago, which would say its token in the address", async () => {
    await using hub = await startManor();
    const answer = await fetch(`${hub.url}${polling.replace("EIO=4", "EIO=3")}`);
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { code: 5, message: "Unsupported protocol version" },
    ]);
    const address = `${hub.url.replace("http", "ws")}${upgrade.replace("EIO=4", "EIO=3")}`;
    const socket = new WebSocket(address);
    const heard: string[] = [];
    socket.on("message", (frame) => heard.push((frame as Buffer).toString()));
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.once("close", resolve));
    expect(heard).toEqual([]);
  });
});

describe("a page of elsewhere", () => {
  const shop = "https://shop.example";
  const ask = async (hub: TestHub, origin: string) => {
    const answer = await fetch(`${hub.url}${polling}`, { headers: { origin, connection: "close" } });
    return {
      status: answer.status,
      allowed: answer.headers.get("access-control-allow-origin"),
      text: await answer.text(),
    };
  };
  const error = errorBody("ORIGIN_FORBIDDEN");
  const refused = {
    status: 403,
    allowed: null,
    text: JSON.stringify({ code: 4, message: "ORIGIN_FORBIDDEN", error }),
  };
  /** The status with which a WebSocket of a page of that origin opens, or does not. */
  const opens = (hub: TestHub, origin: string) =>
    new Promise<number | undefined>((resolve) => {
      const socket = new WebSocket(`${hub.url.replace("http", "ws")}${upgrade}`, { origin });
      socket.on("error", () => undefined);
      socket.once("unexpected-response", (_request, answer) => {
        resolve(answer.statusCode);
        socket.terminate();
      });
      socket.once("open", () => {
        socket.once("close", () => resolve(101));
        socket.terminate();
      });
    });

  it("does not connect to a hub with keys", async () => {
    await using hub = await startManor({ origins: [shop] });
    const strange = [
      "https://evil.example",
      "http://localhost:5173",
      "https://shop.example.evil.example",
      "http://shop.example",
      "https://shop.example:8443",
      "null",
    ];
    for (const origin of strange) {
      expect([origin, await ask(hub, origin), await opens(hub, origin)]).toEqual([origin, refused, 403]);
    }
  });

  it("connects where its origin is listed", async () => {
    await using hub = await startManor({ origins: [shop] });
    expect(await ask(hub, shop)).toMatchObject({ status: 200, allowed: shop });
    expect(await opens(hub, shop)).toBe(101);
  });

  it("does not connect to a hub in open mode", async () => {
    await using hub = await startHub({ contracts });
    const strange = [
      "https://evil.example",
      "http://127.0.0.1.evil.example",
      "http://127.evil.example",
      "http://localhost.evil.example",
      "null",
    ];
    for (const origin of strange) {
      expect([origin, await ask(hub, origin), await opens(hub, origin)]).toEqual([origin, refused, 403]);
    }
  });

  it("does not come in by a script, which browsers load from everywhere and without an origin", async () => {
    await using hub = await startHub({ contracts });
    const answer = await fetch(`${hub.url}${polling}&j=0`, { headers: { connection: "close" } });
    expect([answer.status, await answer.text()]).toEqual([403, refused.text]);
  });

  it("does not come in by a name of its own that leads to this machine", async () => {
    await using hub = await startHub({ contracts });
    const ask = (name: string) =>
      answerTo(hub, request(`GET ${polling}`, [`Host: ${name}`, "Connection: close"]));
    for (const name of ["evil.example", "127.0.0.1.evil.example", ""]) {
      expect(await ask(name)).toMatch(/^HTTP\/1.1 403 [\s\S]*OPEN_MODE_NOT_LOOPBACK/);
    }
    for (const name of ["localhost", "127.0.0.1:4170", "[::1]:4170"]) {
      expect(await ask(name)).toMatch(/^HTTP\/1.1 200 /);
    }
  });

  it("does not go on with a connection that somebody else has begun", async () => {
    await using hub = await startHub({ contracts });
    const open = await (await fetch(`${hub.url}${polling}`, { headers: { connection: "close" } })).text();
    const { sid } = JSON.parse(open.slice(1)) as { sid: string };
    const post = (more: object) =>
      fetch(`${hub.url}${polling}&sid=${sid}`, {
        method: "POST",
        body: '40/manor,{"role":"host","id":"h"}',
        headers: { "content-type": "text/plain", connection: "close", ...more },
      });
    const refusedAnswer = await post({ origin: "https://evil.example" });
    expect([refusedAnswer.status, await refusedAnswer.text()]).toEqual([403, refused.text]);
    expect(hub.hub.namespace(manor).sockets.size).toBe(0);
    expect(await (await post({})).text()).toBe("ok");
    expect(hub.hub.namespace(manor).sockets.size).toBe(1);
  });
});

describe("of what is said in one breath", () => {
  const second = request(`GET ${polling}`, ["Connection: close"]);
  /** How the hub answers, and how often. */
  const answersTo = async (hub: TestHub, all: Record<string, string>) => {
    const answers: Record<string, unknown> = {};
    for (const [name, bytes] of Object.entries(all)) {
      const answer = await answerTo(hub, bytes);
      answers[name] = [answer.slice(0, 12), answer.match(/HTTP\/1.1/g)?.length];
    }
    return answers;
  };
  const refusedOnce = (all: Record<string, string>) =>
    Object.fromEntries(Object.keys(all).map((name) => [name, ["HTTP/1.1 400", 1]]));
  const websocket = (...more: string[]) =>
    request(`GET ${upgrade}`, [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
      ...more,
    ]);

  it("with an upgrade, nothing is taken for a connection, nor for another request", async () => {
    await using hub = await startManor({ limits: { connectTimeoutMs: 500 } });
    /** As a client masks it, with a mask of zeroes. */
    const frame = (text: string) => `\x81${String.fromCharCode(0x80 | text.length)}\0\0\0\0${text}`;
    const handshake = frame('40/manor,{"token":"a.b.c"}');
    const all = {
      "a second request": websocket() + second,
      "a frame": websocket() + handshake,
      "a body": websocket(`Content-Length: ${handshake.length}`) + handshake,
      "a body that is a request": websocket(`Content-Length: ${second.length}`) + second,
      "a body in chunks": `${websocket("Transfer-Encoding: chunked")}0\r\n\r\n${second}`,
      "a body that is yet to come": websocket("Content-Length: 5"),
      "chunks that are yet to come": websocket("Transfer-Encoding: chunked"),
      "behind an upgrade that is refused": websocket("Origin: https://evil.example") + second,
      "behind an upgrade to something else": websocket().replace("websocket\r", "h2c\r") + second,
      "behind an upgrade of no connection": websocket().replace("EIO=4", "EIO=4&sid=x") + second,
    };
    expect(await answersTo(hub, all)).toEqual({
      ...refusedOnce(all),
      "behind an upgrade that is refused": ["HTTP/1.1 403", 1],
    });
  });

  it("nothing is refused where it is an upgrade alone", async () => {
    await using hub = await startManor();
    const answer = await answerTo(hub, websocket("Content-Length: 0"), (text) => text.includes("\r\n\r\n"));
    expect(answer).toMatch(/^HTTP\/1.1 101 /);
  });

  it("all is refused where two readers would find different requests in it", async () => {
    await using hub = await startManor();
    const post = (more: string[], body: string) =>
      request(`POST ${polling}`, ["Content-Type: text/plain", ...more]) + body;
    const all = {
      "two lengths": post(["Content-Length: 0", `Content-Length: ${second.length}`], second),
      "a length and chunks": post(["Content-Length: 5", "Transfer-Encoding: chunked"], `0\r\n\r\n${second}`),
      "chunks and something else": post(["Transfer-Encoding: chunked, x"], `0\r\n\r\n${second}`),
      "a length with a sign": post(["Content-Length: +5"], `12345${second}`),
      "a space before the colon": post(["Content-Length : 5"], `12345${second}`),
      "a header that goes on in the next line": post(["X: a", " b: c", "Content-Length: 0"], second),
      "a line that ends without a return": post(["X: a\nContent-Length: 0"], second),
      "a header with a zero byte": post(["X: a\0b", "Content-Length: 0"], second),
      "no host": `GET ${polling} HTTP/1.1\r\n\r\n${second}`,
    };
    expect(await answersTo(hub, all)).toEqual(refusedOnce(all));
  });
});

describe("a request", () => {
  it("is over when its headers do not come in time", async () => {
    await using hub = await startManor({ limits: { connectTimeoutMs: 50 } });
    expect(await answerTo(hub, `GET ${polling} HTTP/1.1\r\nHost: x\r\n`)).toMatch(/^HTTP\/1.1 408 /);
    expect(await answerTo(hub, "")).toMatch(/^HTTP\/1.1 408 /);
  });

  it("says nothing that comes back in a header", async () => {
    await using hub = await startManor();
    const bytes = request(`OPTIONS ${polling}`, [
      "Origin: https://evil.example",
      "Access-Control-Request-Method: POST",
      "Connection: close",
    ]);
    expect(await answerTo(hub, bytes)).not.toMatch(/access-control-allow-origin|evil/i);
  });
});

it("nobody becomes somebody else by a renewal", async () => {
  await using hub = await startManor();
  await using guest = await visit(hub, "guest:g");
  for (const other of ["guest:other", "host:g", "host:h"]) {
    expect(await guest.ask("hub:renew", { token: await tokenOf(other) })).toEqual(
      refusal("TOKEN_OF_ANOTHER"),
    );
  }
  expect(await guest.say("whispered", { id: "a", guest: "other" })).toEqual(refusal("FORBIDDEN"));
});

it("neither tokens nor keys, nor what they say, are in the log or in what an application sees of a connection", async () => {
  const lines: string[] = [];
  const log = (...said: unknown[]) => void lines.push(inspect(said, { depth: 20 }), JSON.stringify(said));
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  await using hub = await startManor({ logger });
  const tokens = {
    good: await tokenOf("guest:g"),
    forged: craft({ ...claimsOf("guest:g"), mail: "a-secret" }, { alg: "HS256" }, Buffer.alloc(32, 9)),
    expired: craft({ ...claimsOf("guest:g"), exp: nowSeconds() - 60, mail: "a-secret" }),
    elsewhere: craft({ ...claimsOf("guest:g"), aud: "house", mail: "a-secret" }),
    others: await tokenOf("guest:other"),
    garbage: "a-secret",
  };
  await using visitor = await visit(hub, "guest:g", tokens.good);
  for (const token of Object.values(tokens)) {
    if (token !== tokens.good && token !== tokens.others) await refusalOf(hub, { token });
    await visitor.ask("hub:renew", { token });
  }
  await hub.hub.revoke({ satellite: "guest:g" });
  await visitor.closed;
  await using other = await new Visitor(hub, { token: tokens.others }).connected();
  for (const { handshake } of hub.hub.namespace(manor).sockets.values()) log(handshake);
  expect(other.socket.connected).toBe(true);

  const text = lines.join("\n");
  expect(text).toContain("a token was refused");
  expect(text).toContain("ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
  const secrets = Object.values(tokens).flatMap((token) => token.split("."));
  for (const secret of [...secrets, key.jwk.k as string]) expect(text).not.toContain(secret);
});

/** A request without a body. */
function request(line: string, headers: readonly string[]): string {
  const host = headers.some((header) => header.startsWith("Host:")) ? [] : ["Host: hub"];
  return [`${line} HTTP/1.1`, ...host, ...headers, "", ""].join("\r\n");
}

/** All that the hub answers to these bytes, on a connection of their own, until it ends it, or until that is enough. */
async function answerTo(
  { url }: TestHub,
  bytes: string,
  isEnough: (answer: string) => boolean = () => false,
): Promise<string> {
  const { port } = new URL(url);
  let answer = "";
  await new Promise<void>((resolve) => {
    const connection = createConnection(Number(port), "127.0.0.1", () => connection.write(bytes, "latin1"));
    connection.on("error", () => undefined);
    connection.on("data", (chunk) => {
      answer += chunk.toString("latin1");
      if (isEnough(answer)) connection.destroy();
    });
    connection.on("close", () => resolve());
  });
  return answer;
}
