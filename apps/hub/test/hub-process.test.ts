import { join } from "node:path";
import { parcels } from "@orrery/contracts/parcels";
import { defaultLimits } from "@orrery/hub-core";
import { connect } from "@orrery/satellite";
import { developmentKey } from "@orrery/tokens";
import { runHub, temporaryDirectory } from "./hub-child.ts";

const parcel = (parcelId: string) => ({
  parcelId,
  vendorId: "acme",
  customer: { city: "Recife", state: "PE" },
});

it("keeps every acked event when it is killed in the middle of a flood", async () => {
  await using directory = await temporaryDirectory();
  await using first = runHub({ HUB_DATA: directory.path });
  const vendor = connect(parcels, { url: await first.url(), role: "vendor", id: "acme" });
  const acked: string[] = [];
  let next = 0;
  const speak = async () => {
    for (;;) {
      const { subject } = { subject: `p-${next++}` };
      await vendor.emit("pickup", parcel(subject));
      acked.push(subject);
    }
  };
  const speaking = Promise.allSettled(Array.from({ length: 20 }, speak));
  while (acked.length < 500) await new Promise((resolve) => setImmediate(resolve));
  first.send("SIGKILL");
  expect(await first.ended).toBe("SIGKILL");
  await vendor.close({ drainMs: 0 });
  await speaking;

  await using second = runHub({ HUB_DATA: directory.path });
  const logger = connect(parcels, { url: await second.url(), role: "logger", id: "l", from: "start" });
  const heard: string[] = [];
  const end = new Promise<void>((resolve) => {
    logger.on("pickup", ({ parcelId }) => {
      heard.push(parcelId);
      if (parcelId === "end") resolve();
    });
  });
  const last = connect(parcels, { url: await second.url(), role: "vendor", id: "acme" });
  await last.emit("pickup", parcel("end"));
  await end;
  expect(new Set(heard).size).toBe(heard.length);
  expect(acked.filter((id) => !heard.includes(id))).toEqual([]);
  await Promise.all([last.close(), logger.close()]);
});

it.each(["SIGINT", "SIGTERM"] as const)("ends cleanly upon %s", async (signal) => {
  await using directory = await temporaryDirectory();
  await using hub = runHub({ HUB_DATA: directory.path });
  await hub.url();
  hub.send(signal);
  expect(await hub.ended).toBe(0);
  expect(hub.lines.matching(/the hub has stopped/)).toHaveLength(1);
});

it("refuses a directory that another hub holds, and leaves that one in peace", async () => {
  await using directory = await temporaryDirectory();
  await using first = runHub({ HUB_DATA: directory.path });
  const url = await first.url();
  await using second = runHub({ HUB_DATA: directory.path });
  expect(await second.ended).toBe(1);
  expect(second.lines.matching(/^hub: LOG_LOCKED: Another process holds this log\. /)).toHaveLength(1);
  expect(second.lines.matching(/^ +at /)).toEqual([]);
  const vendor = connect(parcels, { url, role: "vendor", id: "acme" });
  expect(await vendor.emit("pickup", parcel("p-1"))).toMatchObject({ offset: 1 });
  await vendor.close();
});

it("names every fault of its environment at once, and does not start", async () => {
  await using hub = runHub({ HUB_HOST: "0.0.0.0", HUB_PORT: "seventy", LOG_LEVEL: "loud" });
  expect(await hub.ended).toBe(78);
  for (const name of ["HUB_HOST", "HUB_PORT", "LOG_LEVEL"]) {
    expect(hub.lines.matching(new RegExp(`^${name}: `))).toHaveLength(1);
  }
});

it("names every fault of its limits", async () => {
  await using wrong = runHub({
    HUB_LIMITS: '{"connections":0,"colour":7,"depth":"deep","graceMs":1073741824,"workPercent":101}',
    HUB_PORT: "seventy",
  });
  await using no = runHub({ HUB_LIMITS: "{connections: 5}" });
  await using list = runHub({ HUB_LIMITS: "[]" });
  expect(await Promise.all([wrong, no, list].map(({ ended }) => ended))).toEqual([78, 78, 78]);
  const faults = wrong.lines.matching(/^HUB_(LIMITS|PORT): /).join("\n");
  for (const named of [
    "connections must be",
    'no limit "colour"',
    "depth must be",
    "graceMs must be a whole number from 1 to 1073741823",
    "workPercent must be a whole number from 1 to 100",
    "HUB_PORT",
  ]) {
    expect(faults).toContain(named);
  }
  for (const one of [no, list]) {
    expect(one.lines.matching(/^HUB_LIMITS: expected a JSON object of limits, got/)).toHaveLength(1);
  }
});

it("shows its limits when it starts, and keeps to those that it was given", async () => {
  await using directory = await temporaryDirectory();
  const changes = { connections: 1, eventsPerSecond: 5 };
  await using hub = runHub({ HUB_DATA: directory.path, HUB_LIMITS: JSON.stringify(changes) });
  const url = await hub.url();
  const [line = ""] = hub.lines.matching(/the hub's limits/);
  const { changed, limits, proxies } = JSON.parse(line);
  expect(changed).toEqual(["connections", "eventsPerSecond"]);
  expect(limits).toEqual({ ...defaultLimits, ...changes });
  expect(proxies).toBe(0);
  const vendor = connect(parcels, { url, role: "vendor", id: "acme" });
  await vendor.ready();
  const answer = await fetch(`${url}/socket.io/?EIO=4&transport=polling`);
  expect([answer.status, ((await answer.json()) as { message: string }).message]).toEqual([
    503,
    "CONNECTIONS_TOO_MANY",
  ]);
  await vendor.close();
});

it("says which port is taken", async () => {
  await using one = await temporaryDirectory();
  await using two = await temporaryDirectory();
  await using first = runHub({ HUB_DATA: one.path });
  const { port } = new URL(await first.url());
  await using second = runHub({ HUB_DATA: two.path, HUB_PORT: port });
  expect(await second.ended).toBe(1);
  expect(second.lines.matching(/^hub: EADDRINUSE: /)).toHaveLength(1);
  expect(second.lines.matching(/^ +at /)).toEqual([]);
});

it("ends with code 78 where its host is another machine's", async () => {
  await using directory = await temporaryDirectory();
  const key = join(directory.path, "key.json");
  await developmentKey(key);
  // RFC 5737, section 3: an address for documents, which no machine has.
  await using hub = runHub({ HUB_DATA: directory.path, HUB_KEY: key, HUB_HOST: "192.0.2.1" });
  expect(await hub.ended).toBe(78);
  expect(hub.lines.matching(/^hub: /)).toEqual([
    expect.stringMatching(/CONFIG_INVALID: .* HUB_HOST cannot be listened on: .*EADDRNOTAVAIL/),
  ]);
});

it("keeps no more than it is told to, and tells a satellite that was away what is missing", async () => {
  await using directory = await temporaryDirectory();
  await using hub = runHub({ HUB_DATA: directory.path, HUB_KEEP_BYTES: "300000" });
  const url = await hub.url();
  const vendor = connect(parcels, { url, role: "vendor", id: "acme" });
  const total = 4_000;
  await Promise.all(Array.from({ length: total }, (_, place) => vendor.emit("pickup", parcel(`p-${place}`))));
  await vendor.emit("pickup", parcel("end"));
  const gaps: [string, string][] = [];
  const heard: number[] = [];
  const logger = connect(parcels, {
    url,
    role: "logger",
    id: "l",
    from: "start",
    onGap: ({ reason, until }) => void gaps.push([reason, until.slice(until.indexOf(":") + 1)]),
  });
  await new Promise<void>((resolve) => {
    logger.on("pickup", ({ parcelId }, { offset = 0 }) => {
      heard.push(offset);
      if (parcelId === "end") resolve();
    });
  });
  const first = heard[0] as number;
  expect(first).toBeGreaterThan(1);
  expect(gaps.at(-1)).toEqual(["retention", String(first - 1)]);
  expect(heard).toEqual(Array.from({ length: total + 2 - first }, (_, place) => first + place));
  await Promise.all([vendor.close(), logger.close()]);
});
