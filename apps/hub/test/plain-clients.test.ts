// Promise 7: still just Socket.IO. Clients that know nothing of Orrery, against the hub's own process.
import { execFile, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ClientToServerEvents, ServerToClientEvents } from "@orrery/contracts";
import { type Parcel, type Parcels, parcels } from "@orrery/contracts/parcels";
import { connect } from "@orrery/satellite";
import { io, type Socket } from "socket.io-client";
import { runHub, temporaryDirectory } from "./hub-child.ts";

type Plain = Socket<ServerToClientEvents<Parcels>, ClientToServerEvents<Parcels>>;

const parcel = (parcelId: string, vendorId: string): Parcel => ({
  parcelId,
  vendorId,
  customer: { city: "Recife", state: "PE" },
});

/** A driver that delivers whatever it hears of, at once. */
async function startDriver(url: string) {
  const driver = connect(parcels, { url, role: "driver", id: "d1" });
  driver.on("pickup", async (data) => {
    await driver.emit("delivered", { ...data, driverId: "d1", deliveredAt: new Date().toISOString() });
  });
  await driver.ready();
  return driver;
}

describe.each(["websocket", "polling"])("an unmodified socket.io-client over %s", (transport) => {
  it("emits with an ack, and hears delivered of its own vendor only", async () => {
    await using directory = await temporaryDirectory();
    await using hub = runHub({ HUB_DATA: directory.path });
    const url = await hub.url();
    const driver = await startDriver(url);
    const client = (id: string): Plain =>
      io(`${url}/parcels`, { auth: { role: "vendor", id }, transports: [transport], forceNew: true });
    const [acme, globex] = [client("acme"), client("globex")];
    const heard: [string, string][] = [];
    const bothHeard = new Promise<void>((resolve) => {
      for (const [id, socket] of [
        ["acme", acme],
        ["globex", globex],
      ] as const) {
        socket.on("delivered", ({ parcelId }) => {
          heard.push([id, parcelId]);
          if (heard.length === 3) resolve(); // two sockets: p-3 may come before p-2
        });
      }
    });
    const connected = [acme, globex].map(
      (socket) => new Promise<void>((resolve) => socket.on("connect", resolve)),
    );
    await Promise.all(connected);
    expect(await acme.emitWithAck("pickup", parcel("p-1", "acme"))).toMatchObject({ ok: true, offset: 1 });
    expect(await globex.emitWithAck("pickup", parcel("p-2", "globex"))).toMatchObject({ ok: true });
    expect(await acme.emitWithAck("pickup", parcel("p-3", "acme"))).toMatchObject({ ok: true });
    await bothHeard;
    expect(heard.map(String).sort()).toEqual(["acme,p-1", "acme,p-3", "globex,p-2"]);
    for (const socket of [acme, globex]) socket.disconnect();
    await driver.close();
  });
});

const python = "/usr/bin/python3";
const hasPython = spawnSync(python, ["-c", "import socketio, websocket, requests"]).status === 0;
// Debian: python3-socketio python3-websocket python3-requests. In CI they are installed, so there it may not be missing.
const inPython = hasPython || process.env.CI ? describe : describe.skip;

inPython.each(["websocket", "polling"])("Debian's python-socketio over %s", (transport) => {
  it("emits with an ack, gets a coded refusal, and hears of its delivery", async () => {
    await using directory = await temporaryDirectory();
    await using hub = runHub({ HUB_DATA: directory.path });
    const url = await hub.url();
    const driver = await startDriver(url);
    const script = fileURLToPath(new URL("./python/vendor.py", import.meta.url));
    const { stdout } = await promisify(execFile)(python, [script, url, transport]);
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(3);
    expect(lines).toContainEqual({ ok: true, id: expect.any(String), offset: 1 });
    expect(lines).toContainEqual({ ok: false, error: expect.objectContaining({ code: "DATA_INVALID" }) });
    expect(lines).toContainEqual({
      data: { ...parcel("p-1", "py"), driverId: "d1", deliveredAt: expect.any(String) },
      meta: expect.objectContaining({ source: "driver:d1", type: "delivered", subject: "p-1", offset: 2 }),
    });
    await driver.close();
  });
});
