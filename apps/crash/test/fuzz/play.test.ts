import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errorBody } from "@orrery/contracts";
import { bystander, revokedWithinMs, tokenGraceMs } from "../../src/fuzz/cast.ts";
import { frameBytes, opcodes } from "../../src/fuzz/frames.ts";
import { Issuer } from "../../src/fuzz/issuer.ts";
import { Known } from "../../src/fuzz/known.ts";
import { Pace } from "../../src/fuzz/pace.ts";
import { play } from "../../src/fuzz/play.ts";
import { Revocations } from "../../src/fuzz/revocations.ts";
import type { Session } from "../../src/fuzz/session.ts";
import { Tally } from "../../src/fuzz/tally.ts";

const identity = { role: "vendor", id: "a0" };
const session: Session = {
  kind: "messages",
  identity,
  form: "batched",
  handshake: "right",
  reads: "always",
  ends: "waiting",
  steps: 8,
};

const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
/** Its tokens were issued a minute ago. */
const minuteOld = new Issuer(jwk, () => Date.now() - 60_000);

/** Engine.IO's, with which the connection ends. */
const goodbye = "1";

/** What a hub tells upon a message with this ack id: Engine.IO packets. */
type Telling = (ackId: string, revocations: Revocations) => readonly string[];

/** A hub that lets everybody in, and then tells what it is told to tell. */
async function startHub(telling: (ackId: string) => readonly string[]) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const tell = (text: string) => {
      const payload = Buffer.from(text);
      if (text === goodbye) socket.end();
      else socket.write(frameBytes({ opcode: opcodes.text, payload, isMasked: false }));
    };
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      const said = bytes.toString("latin1"); // attackers mask with zeros
      if (said.includes("Upgrade: websocket")) {
        socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        tell('0{"sid":"x"}');
      }
      if (said.includes("40/parcels,")) tell('40/parcels,{"sid":"y"}');
      for (const [, ackId = ""] of said.matchAll(/42\/parcels,(\d+)/g)) telling(ackId).forEach(tell);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** The faults that a visit finds at such a hub. */
async function found(
  telling: Telling,
  changes: Partial<Session> = {},
  issuer = minuteOld,
): Promise<readonly string[]> {
  await using directory = await makeDirectory();
  const revocations = new Revocations(join(directory.path, "revoked.json"));
  await using hub = await startHub((ackId) => telling(ackId, revocations));
  const { signal } = new AbortController();
  const tally = new Tally();
  const pace = new Pace(1_000, signal);
  const known = new Known();
  await play({ ...session, ...changes }, 0, {
    port: hub.port,
    seed: 1,
    pace,
    tally,
    known,
    issuer,
    revocations,
    answerMs: 200,
    signal,
  });
  const { findings, counts } = tally.evidence;
  expect(counts.said.upgrade).toBe(1);
  return findings.filter(({ count }) => count > 0).map(({ fault }) => fault);
}

async function makeDirectory() {
  const path = await mkdtemp(join(tmpdir(), "orrery-fuzz-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

const ok = (ackId: string): readonly string[] => [`43/parcels,${ackId}[{"ok":true}]`];

describe("a visit finds", () => {
  it("nothing at a hub that answers everything", async () => {
    expect(await found(ok)).toEqual([]);
  });

  it("a hub that does not answer", async () => {
    expect(await found(() => [])).toEqual(["a right message without an answer"]);
  });

  it("an answer that is none, or has a code of its own", async () => {
    const fault = "a reply that is neither ok nor a code of the table";
    expect(await found((ackId) => [`43/parcels,${ackId}["yes"]`])).toEqual([fault]);
    const error = '{"code":"E_SQL","message":"no","retryable":false}';
    expect(await found((ackId) => [`43/parcels,${ackId}[{"ok":false,"error":${error}}]`])).toEqual([fault]);
  });

  it("a packet that is none", async () => {
    const fault = "a message of the hub that is no packet";
    expect(await found((ackId) => [...ok(ackId), "43/parcels,Infinity[{}]"])).toEqual([fault]);
  });

  it("a stack in what it is told", async () => {
    const fault = "text of the hub's inside, told outside";
    const leak = '42/parcels,["pickup","    at Socket.onevent (/srv/socket.js:1:2)"]';
    expect(await found((ackId) => [...ok(ackId), leak])).toEqual([fault]);
  });

  it("an event of another vendor", async () => {
    const fault = "an event told to whom it is not for";
    const told = (vendorId: string) =>
      `42/parcels,${JSON.stringify(["hub:events", [["pickup", { vendorId }, { id: "1", type: "pickup" }]]])}`;
    expect(await found((ackId) => [...ok(ackId), told("a0")])).toEqual([]);
    expect(await found((ackId) => [...ok(ackId), told("a1")])).toEqual([fault]);
  });

  it("a hub that says goodbye, and stays", async () => {
    const fault = "hub:close, and the connection went on";
    const body = { code: "HUB_CLOSING", message: "The hub is shutting down.", retryable: true };
    const closing = `42/parcels,${JSON.stringify(["hub:close", body])}`;
    expect(await found((ackId) => [...ok(ackId), closing])).toEqual([fault]);
  });

  it("a hub that lets in, or renews, with whatever it is shown", async () => {
    const fault = "a handshake or a renewal taken that must be refused";
    expect(await found(ok, { kind: "tokens", handshake: "wrong", steps: 0 })).toEqual([fault]);
    expect(await found(ok, { kind: "tokens", steps: 0 })).toEqual([]);
    expect(await found(ok, { kind: "tokens", steps: 20 })).toEqual([fault]);
  });

  it("a hub that takes an attacker for the bystander", async () => {
    const fault = "let in as another than it has shown";
    const welcome = (satellite: object) =>
      `42/parcels,${JSON.stringify(["hub:welcome", { satellite, cursor: "e:1" }])}`;
    expect(await found((ackId) => [...ok(ackId), welcome(identity)])).toEqual([]);
    expect(await found((ackId) => [...ok(ackId), welcome(bystander.vendor)])).toEqual([fault]);
  });

  it("a hub that goes on to serve whom the run has revoked", async () => {
    const revoking: Telling = (ackId, revocations) => {
      while (revocations.next(1, Date.now() - revokedWithinMs) !== "vendor:a0");
      return ok(ackId);
    };
    expect(await found(revoking, { steps: 60 })).toEqual(["served when its token was over, or revoked"]);
  });

  describe("a hub that keeps the connection when token and grace are over", () => {
    /** A token that is over so soon, with its grace. */
    const overIn = (ms: number) => new Issuer(jwk, () => Date.now() - 3_600_000 - tokenGraceMs + ms);
    const staying = { ends: "outstaying", steps: 1 } as const;

    it("also where it answers nothing more", async () => {
      const fault = "served when its token was over, or revoked";
      expect(await found(() => [], staying, overIn(2_000))).toEqual([fault]);
      expect(await found(() => [], staying)).toEqual([]); // an hour is not waited for
    });

    it("but not one that stood still, with all the machine, and then ends it", async () => {
      const overMs = Date.now() + 2_000;
      let told = 0;
      const standing: Telling = () => {
        told += 1;
        if (told < 2) return [];
        while (Date.now() < overMs + 500);
        return [`42/parcels,${JSON.stringify(["hub:close", errorBody("TOKEN_EXPIRED")])}`, goodbye];
      };
      expect(await found(standing, staying, overIn(2_000))).toEqual([]);
      expect(told).toBeGreaterThan(1);
    });
  });
});
