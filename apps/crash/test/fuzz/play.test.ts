import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { frameBytes, opcodes } from "../../src/fuzz/frames.ts";
import { handshakeOf } from "../../src/fuzz/handshake.ts";
import { Known } from "../../src/fuzz/known.ts";
import { Pace } from "../../src/fuzz/pace.ts";
import { play } from "../../src/fuzz/play.ts";
import type { Session } from "../../src/fuzz/session.ts";
import { Tally } from "../../src/fuzz/tally.ts";

const identity = { role: "vendor", id: "a0" };
const session: Session = {
  kind: "messages",
  identity,
  form: "batched",
  handshake: "right",
  auth: handshakeOf(identity, "batched"),
  reads: "always",
  ends: "waiting",
  steps: 8,
};

/** What a hub tells upon a message with this ack id: Engine.IO packets. */
type Telling = (ackId: string) => readonly string[];

/** A hub that lets everybody in, and then tells what it is told to tell. */
async function startHub(telling: Telling) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const tell = (text: string) =>
      socket.write(frameBytes({ opcode: opcodes.text, payload: Buffer.from(text), isMasked: false }));
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
async function found(telling: Telling): Promise<readonly string[]> {
  await using hub = await startHub(telling);
  const { signal } = new AbortController();
  const tally = new Tally();
  const pace = new Pace(1_000, signal);
  const known = new Known();
  await play(session, 0, {
    port: hub.port,
    seed: 1,
    pace,
    tally,
    known,

    answerMs: 200,
    signal,
  });
  const { findings, counts } = tally.evidence;
  expect(counts.said.upgrade).toBe(1);
  return findings.filter(({ count }) => count > 0).map(({ fault }) => fault);
}

const ok: Telling = (ackId) => [`43/parcels,${ackId}[{"ok":true}]`];

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
    const goodbye = `42/parcels,${JSON.stringify(["hub:close", body])}`;
    expect(await found((ackId) => [...ok(ackId), goodbye])).toEqual([fault]);
  });
});
