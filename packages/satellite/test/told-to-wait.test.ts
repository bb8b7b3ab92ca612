import { defineContract, OrreryError } from "@orrery/contracts";
import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { z } from "zod";
import { connect, type Status } from "../src/index.ts";
import { FakeHub, refused } from "./fake-hub.ts";
import { tokenOf } from "./tokens.ts";
import { until } from "./waiting.ts";

const parcel = (parcelId: string) => ({
  parcelId,
  vendorId: "acme",
  customer: { city: "Recife", state: "PE" },
});

describe("a satellite that says more than the hub lets it", () => {
  it("has everything on disk in the end, once, and in the order in which it was said", async () => {
    const limits = { eventsPerSecond: 200, eventsAtOnce: 20 };
    await using hub = await startHub({ contracts: [parcels], limits });
    const vendor = connect(parcels, { url: hub.url, role: "vendor", id: "acme" });
    const ids = Array.from({ length: 300 }, (_, place) => `p-${place}`);
    const said: Promise<unknown>[] = [];
    for (const [place, id] of ids.entries()) {
      said.push(vendor.emit("pickup", parcel(id)));
      // So that they travel in many messages.
      if (place % 3 === 2) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(said);
    const { events } = await hub.log.read({ after: 0 });
    expect(events.map(({ key }) => key)).toEqual(ids);
    await vendor.close();
  });

  it("waits as long as it was told before it says that again, and what it says meanwhile comes behind it", async () => {
    await using hub = await FakeHub.start();
    const accept = hub.answers["hub:emit"] as (entries: unknown) => unknown;
    hub.answers["hub:emit"] = (entries) =>
      entries.length === 2 ? accept(entries) : refused("RATE_LIMITED", 900);
    const vendor = connect(parcels, { url: hub.url, role: "vendor", id: "acme" });
    const first = vendor.emit("pickup", parcel("first"));
    await hub.hears("hub:emit");
    const beganMs = performance.now();
    const second = vendor.emit("pickup", parcel("second"));
    await Promise.all([first, second]);
    // Timers of Node fire up to a millisecond early.
    expect(performance.now() - beganMs).toBeGreaterThan(890);
    const parcelIds = hub
      .heard("hub:emit")
      .at(-1)
      .map(([, { parcelId }]: [string, { parcelId: string }]) => parcelId);
    expect(parcelIds).toEqual(["first", "second"]);
    await vendor.close();
  });

  it("waits for the longest of what it was told", async () => {
    await using hub = await FakeHub.start();
    const accept = hub.answers["hub:emit"] as (entries: unknown) => unknown;
    let told = 0;
    hub.answers["hub:emit"] = () => refused("RATE_LIMITED", [1_200, 600][told++] ?? 0);
    const vendor = connect(parcels, { url: hub.url, role: "vendor", id: "acme" });
    await vendor.ready();
    const first = vendor.emit("pickup", parcel("first"));
    await new Promise((resolve) => setImmediate(resolve));
    const second = vendor.emit("pickup", parcel("second"));
    await hub.hears("hub:emit", 1);
    const beganMs = performance.now();
    await until(() => told === 2 || performance.now() - beganMs > 1_000);
    hub.answers["hub:emit"] = accept;
    await Promise.all([first, second]);
    expect(performance.now() - beganMs).toBeGreaterThan(1_190);
    await vendor.close();
  });
});

const town = defineContract({
  name: "parcels",
  version: "1.0.0",
  roles: ["driver"],
  events: {
    said: {
      summary: "Something was said.",
      data: z.strictObject({ id: z.string() }),
      keep: "log",
      emit: { driver: "all" },
      hear: { driver: "all" },
    },
    wait: {
      summary: "How long will it take?",
      data: z.strictObject({}),
      reply: z.strictObject({ minutes: z.number() }),
      keep: "none",
      emit: { driver: "all" },
      hear: { driver: "all" },
    },
  },
});

it("what a satellite asks of the hub, and is refused for now, is asked again when the time is over", async () => {
  await using hub = await FakeHub.start();
  const accepted = {
    ...hub.answers,
    "hub:listen": () => ({ ok: true, cursor: "e:0" }),
    "hub:follow": () => ({ ok: true, cursor: "e:0" }),
    "hub:answer": () => ({ ok: true }),
  };
  const asked = ["hub:listen", "hub:follow", "hub:work", "hub:answer"] as const;
  for (const name of asked) hub.answers[name] = () => refused("RATE_LIMITED", 700);
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const driver = connect(town, { url: hub.url, role: "driver", id: "d1", onError });
  driver.on("said", () => undefined);
  const following = driver.follow("said", { as: "f" }, () => undefined);
  const working = driver.work("said", { group: "g", capacity: 1 }, () => undefined);
  const answering = driver.answer("wait", () => ({ minutes: 1 }));
  for (const name of asked) await hub.hears(name);
  const beganMs = performance.now();
  Object.assign(hub.answers, accepted);
  await Promise.all([driver.ready(), following.ready(), working.ready(), answering.ready()]);
  expect(performance.now() - beganMs).toBeGreaterThan(600);
  expect(asked.map((name) => hub.heard(name).length)).toEqual([2, 2, 2, 2]);
  expect([driver.status, errors]).toEqual(["online", []]);
  await driver.close();
});

it("a satellite whose renewal comes too fast keeps its connection, and renews when the time is over", async () => {
  await using hub = await FakeHub.start();
  hub.answers["hub:renew"] = () => refused("RATE_LIMITED", 700);
  const [statuses, errors]: [Status[], unknown[]] = [[], []];
  let calls = 0;
  const vendor = connect(parcels, {
    url: hub.url,
    token: () => tokenOf({ name: `${++calls}`, expiresMs: Date.now() + (calls === 1 ? 2_000 : 3_600_000) }),
    onStatus: (status) => void statuses.push(status),
    onError: (error) => void errors.push(error),
  });
  const first = await hub.hears("hub:renew");
  const beganMs = performance.now();
  hub.answers["hub:renew"] = () => ({ ok: true, expires: "2030-01-01T00:00:00Z" });
  expect(await hub.hears("hub:renew", 2)).toEqual(first);
  expect(performance.now() - beganMs).toBeGreaterThan(690);
  expect([calls, hub.handshakes.length, statuses, errors]).toEqual([2, 1, ["online"], []]);
  await vendor.close();
});

it("a question to the hub that comes too fast is asked again when the time is over", async () => {
  await using hub = await startHub({
    contracts: [parcels],
    limits: { requestsPerSecond: 20, requestsAtOnce: 5 },
  });
  const vendor = connect(parcels, { url: hub.url, role: "vendor", id: "acme" });
  const answers = await Promise.all(Array.from({ length: 15 }, () => vendor.followers()));
  expect(answers).toEqual(Array(15).fill([]));
  await vendor.close();
});

it("a satellite that closes does not wait for what it was told to ask again later", async () => {
  await using hub = await FakeHub.start();
  for (const name of ["hub:listen", "hub:follow", "hub:work", "hub:answer"]) {
    hub.answers[name] = () => refused("RATE_LIMITED", 60_000);
  }
  hub.answers["hub:unanswer"] = () => ({ ok: true });
  const driver = connect(town, { url: hub.url, role: "driver", id: "d1", onError: () => undefined });
  driver.on("said", () => undefined);
  driver.follow("said", { as: "f" }, () => undefined);
  driver.work("said", { group: "g", capacity: 1 }, () => undefined);
  driver.answer("wait", () => ({ minutes: 1 }));
  await hub.hears("hub:answer");
  await hub.hears("hub:work");
  await driver.close(); // the test environment finds timers that are left
});

it.each([
  ["the hub has no room for", { connections: 1 }, "second"],
  ["has too many connections", { connectionsPerSatellite: 1 }, "first"],
])("a satellite that %s says why, and is in when one goes", async (_why, limits, id) => {
  await using hub = await startHub({ contracts: [parcels], limits });
  const first = connect(parcels, { url: hub.url, role: "vendor", id: "first" });
  await first.ready();
  const heard: [Status, string | undefined][] = [];
  const second = connect(parcels, {
    url: hub.url,
    role: "vendor",
    id,
    onStatus: (status, reason) => void heard.push([status, reason?.code]),
  });
  await until(() => heard.length > 0);
  expect(heard).toEqual([["connecting", "CONNECTIONS_TOO_MANY"]]);
  await first.close();
  await second.ready();
  expect(heard.at(-1)).toEqual(["online", undefined]);
  await second.close();
});

it("an error keeps how long to wait", () => {
  const { error } = refused("RATE_LIMITED", 120);
  expect(OrreryError.from(error)).toMatchObject({ code: "RATE_LIMITED", retryAfterMs: 120 });
});
