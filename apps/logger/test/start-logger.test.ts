import { appendFile, mkdir, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, connect as openSocket, type Socket } from "node:net";
import { dirname } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { Meta } from "@orrery/contracts";
import { type Parcel, parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { Lines } from "@orrery/process/testing";
import { connect } from "@orrery/satellite";
import { startLogger } from "../src/start-logger.ts";
import { publish } from "./publisher.ts";
import { temporaryFile } from "./temporary-file.ts";

async function logger(hubUrl: string, file: string) {
  const lines = new Lines();
  const faults: unknown[] = [];
  const running = await startLogger({
    hubUrl,
    credentials: { role: "logger", id: "logger" },
    file,
    print: (text) => lines.print(stripVTControlCharacters(text)),
    onFault: (error) => faults.push(error),
  });
  const stop = () => running.stop();
  return { lines, faults, stop, [Symbol.asyncDispose]: stop };
}

const numbered = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, number) => `${prefix}-${number}`);
const parcelsOf = (lines: readonly { readonly data: { readonly parcelId: string } }[]) =>
  lines.map(({ data }) => data.parcelId);

describe("a logger", () => {
  it("writes every event as a line of JSON with data and meta, and prints a short one", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using file = await temporaryFile();
    await using running = await logger(hub.url, file.path);
    const url = hub.url;
    const parcel: Parcel = {
      parcelId: "2e7a8482f6fb09756ca50c10d7bfc047",
      vendorId: "1554a68530182680ad5c8b042c3ab563",
      customer: { name: "Ana Souza", city: "boa vista", state: "RR" },
    };
    const vendor = connect(parcels, { url, role: "vendor", id: parcel.vendorId });
    const driver = connect(parcels, { url, role: "driver", id: "d1" });
    const collected = { ...parcel, driverId: "d1", collectedAt: "2017-07-01T10:13:00Z" };
    const position = { driverId: "d1", latitude: 2.82, longitude: -60.67 };
    await vendor.emit("pickup", parcel, { id: "one" });
    await driver.emit("in-transit", collected, { id: "two" });
    await driver.emit("position", position, { id: "three" });
    await running.lines.seen(/position/);
    await Promise.all([running.stop(), vendor.close(), driver.close()]);

    const written = (await file.text()).split("\n");
    const lines = await file.lines();
    const metaOf = (id: string, source: string, type: string, subject: string, offset: number): Meta => ({
      id,
      source,
      type,
      time: lines[offset - 1]?.time as string,
      subject,
      offset,
    });
    const vendorName = `vendor:${parcel.vendorId}`;
    const expected = [
      { event: "pickup", data: parcel, meta: metaOf("one", vendorName, "pickup", parcel.parcelId, 1) },
      {
        event: "in-transit",
        data: collected,
        meta: metaOf("two", "driver:d1", "in-transit", parcel.parcelId, 2),
      },
      { event: "position", data: position, meta: metaOf("three", "driver:d1", "position", "d1", 3) },
    ].map(({ event, data, meta }) => JSON.stringify({ event, time: meta.time, data, meta }));
    expect(written).toEqual([...expected, ""]);

    const clock = (place: number) => lines[place]?.time.slice(11, 23);
    expect(running.lines.all).toEqual([
      `Writing to ${file.path}, for the hub at ${hub.url}`,
      "connected",
      `${clock(0)} pickup      2e7a8482… vendor:1554…`,
      `${clock(1)} in-transit  2e7a8482… vendor:1554… driver:d1`,
      `${clock(2)} position    d1 driver:d1`,
    ]);
  });

  it("goes on after the last event of its file, and cuts off a line that was torn", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using file = await temporaryFile();
    await using acme = publish(hub.url);
    await acme.pickups("a", 50);
    {
      await using first = await logger(hub.url, file.path);
      await first.lines.seen(/pickup/, 50);
    }
    await appendFile(file.path, '{"event":"pickup","time":"2026-11-22T15:3');
    await acme.pickups("b", 50);
    await using again = await logger(hub.url, file.path);
    await acme.pickups("c", 50);
    await again.lines.seen(/pickup/, 100);
    await again.stop();
    expect(parcelsOf(await file.lines())).toEqual(["a", "b", "c"].flatMap((prefix) => numbered(prefix, 50)));
    expect(await file.history()).toEqual({ epoch: hub.log.epoch, fromByte: 0 });
  });

  it("goes on when the hub is restarted", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using file = await temporaryFile();
    await using acme = publish(hub.url);
    await using running = await logger(hub.url, file.path);
    await acme.pickups("a", 50);
    await running.lines.seen(/pickup/, 50);
    const saying = acme.pickups("b", 2_000);
    await hub.stop();
    await running.lines.seen(/^connection lost/);
    await hub.start();
    await saying;
    await running.lines.seen(/pickup/, 2_050);
    await running.stop();
    const lines = await file.lines();
    expect(parcelsOf(lines)).toEqual([...numbered("a", 50), ...numbered("b", 2_000)]);
    expect(lines.map(({ meta }) => meta.offset)).toEqual(lines.map((_line, place) => place + 1));
    expect(running.faults).toEqual([]);
  });

  it("writes another log from its start, after what was there, and then goes on in that", async () => {
    await using oldHub = await startHub({ contracts: [parcels] });
    await using newHub = await startHub({ contracts: [parcels] });
    await using file = await temporaryFile();
    await using before = publish(oldHub.url);
    await using after = publish(newHub.url);
    await before.pickups("old", 30);
    await after.pickups("new", 10);
    await using forwarder = await forward(oldHub.url);
    await using running = await logger(forwarder.url, file.path);
    await running.lines.seen(/ old-/, 30);
    const oldBytes = await sizeWritten(file, 30);

    forwarder.to(newHub.url);
    await running.lines.seen(/^The hub has another log now/);
    await running.lines.seen(/ new-/, 10);
    await running.stop();
    expect(await file.history()).toEqual({ epoch: newHub.log.epoch, fromByte: oldBytes });

    await after.pickups("newer", 10);
    await using again = await logger(newHub.url, file.path);
    await again.lines.seen(/pickup/, 10);
    await again.stop();
    expect(parcelsOf(await file.lines())).toEqual([
      ...numbered("old", 30),
      ...numbered("new", 10),
      ...numbered("newer", 10),
    ]);
  });

  it("starts over, after what is there, in a file that does not tell which log it is from", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using file = await temporaryFile();
    await using acme = publish(hub.url);
    await acme.pickups("a", 3);
    await mkdir(dirname(file.path), { recursive: true });
    await writeFile(file.path, "a line\nand another");
    for (const isFirst of [true, false]) {
      await using running = await logger(hub.url, file.path);
      if (!isFirst) await acme.pickups("b", 3);
      await running.lines.seen(/pickup/, 3);
      expect(running.lines.matching(/does not tell which log/)).toHaveLength(isFirst ? 1 : 0);
    }
    const [first, second, ...lines] = (await file.text()).trimEnd().split("\n");
    expect([first, second]).toEqual(["a line", "and another"]);
    expect(parcelsOf(lines.map((line) => JSON.parse(line)))).toEqual([
      ...numbered("a", 3),
      ...numbered("b", 3),
    ]);
  });

  it("starts over where its file was removed", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using file = await temporaryFile();
    await using acme = publish(hub.url);
    await acme.pickups("a", 3);
    for (const _run of [1, 2]) {
      await using running = await logger(hub.url, file.path);
      await running.lines.seen(/pickup/, 3);
      await running.stop();
      expect(parcelsOf(await file.lines())).toEqual(numbered("a", 3));
      await rm(file.path);
    }
  });

  it("says at once that a file cannot be opened", async () => {
    await using file = await temporaryFile();
    await expect(logger("http://127.0.0.1:4170", file.directory)).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining(`LOGGER_FILE ${file.directory} cannot be opened: EISDIR`),
    });
  });
});

/** Bytes of the file when it has so many lines. */
async function sizeWritten(file: { text(): Promise<string> }, lines: number): Promise<number> {
  for (;;) {
    const text = await file.text();
    if (text.split("\n").length > lines) return Buffer.byteLength(text);
  }
}

/** Stands where a hub was, and later where another one is. */
async function forward(hubUrl: string) {
  let target = new URL(hubUrl);
  const sockets = new Set<Socket>();
  const server = createServer((inner) => {
    const outer = openSocket(Number(target.port), target.hostname);
    inner.pipe(outer).pipe(inner);
    for (const socket of [inner, outer]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    }
  });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    to(url: string) {
      target = new URL(url);
      cut();
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
