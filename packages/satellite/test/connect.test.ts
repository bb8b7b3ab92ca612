import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parcels } from "@orrery/contracts/parcels";
import { openSqliteLog } from "@orrery/event-log";
import { createHub } from "@orrery/hub-core";
import { startHub, type TestHub } from "@orrery/hub-core/testing";
import { connect, type Satellite, type SatelliteOptions, type Status } from "../src/index.ts";

type Parcels = typeof parcels;
const parcel = (parcelId: string, vendorId = "acme") => ({
  parcelId,
  vendorId,
  customer: { name: "Ana", city: "Recife", state: "PE" },
});
const start = (limits: object = {}) => startHub({ contracts: [parcels], limits });

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), "orrery-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A satellite that is closed at the end of its test. */
function satellite(hub: { url: string }, role: string, id: string, options: Partial<SatelliteOptions> = {}) {
  const made = connect(parcels, { url: hub.url, role: role as never, id, ...options });
  return Object.assign(made, { [Symbol.asyncDispose]: () => made.close({ drainMs: 0 }) });
}

/** What a satellite hears of some events, and a promise for the first that fits. */
function ear(of: Satellite<Parcels>, ...events: (keyof Parcels["events"])[]) {
  const heard: { event: string; key: string | undefined; offset: number | undefined }[] = [];
  let wake: () => void = () => undefined;
  for (const event of events) {
    of.on(event, (_data, { subject, offset }) => {
      heard.push({ event, key: subject, offset });
      wake();
    });
  }
  const until = async (fits: (entry: { key: string | undefined }) => boolean) => {
    while (!heard.some(fits)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return {
    heard,
    keys: () => heard.map(({ key }) => key),
    untilKey: (key: string) => until((entry) => entry.key === key),
  };
}

/** The statuses as they come, and a promise for the next of a kind. */
function statuses() {
  const seen: [Status, string | undefined][] = [];
  let wake: () => void = () => undefined;
  const onStatus: SatelliteOptions["onStatus"] = (status, reason) => {
    seen.push([status, reason?.code]);
    wake();
  };
  const until = async (status: Status) => {
    while (!seen.some(([one]) => one === status)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { seen, onStatus, until };
}

describe("emit", () => {
  it("resolves with the receipt when the event is on disk", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    const { id, offset } = await vendor.emit("pickup", parcel("p-1"));
    expect(offset).toBe(1);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(await vendor.emit("pickup", parcel("p-1"), { id })).toEqual({
      ok: true,
      id,
      offset,
      duplicate: true,
    });
    expect((await hub.log.read({ after: 0 })).events.map(({ key }) => key)).toEqual(["p-1"]);
  });

  it("rejects with the hub's coded refusal and where the data is wrong", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await expect(vendor.emit("pickup", parcel("p-1", "globex"))).rejects.toMatchObject({ code: "FORBIDDEN" });
    await expect(vendor.emit("pickup", { ...parcel("p-1"), parcelId: 7 as never })).rejects.toMatchObject({
      code: "DATA_INVALID",
      retryable: false,
      issues: [{ path: "parcelId" }],
    });
    await expect(vendor.emit("vanished" as never, {} as never)).rejects.toMatchObject({
      code: "UNKNOWN_EVENT",
    });
  });

  it("refuses what JSON cannot say, and what no message can carry, without troubling the connection", async () => {
    await using hub = await start({ messageBytes: 10_000, eventBytes: 5_000 });
    const { seen, onStatus } = statuses();
    await using vendor = satellite(hub, "vendor", "acme", { onStatus });
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    await expect(vendor.emit("pickup", circular as never)).rejects.toMatchObject({ code: "DATA_INVALID" });
    const large = (length: number) => ({ ...parcel("p"), parcelId: "x".repeat(length) });
    await expect(vendor.emit("pickup", large(50_000))).rejects.toMatchObject({ code: "EVENT_TOO_LARGE" });
    await vendor.emit("pickup", parcel("p-1"));
    expect(seen).toEqual([["online", undefined]]);
  });

  it("does not wait, when it is closed, for what is too large to be sent", async () => {
    await using hub = await start({ messageBytes: 4_000, eventBytes: 1_000 });
    const vendor = connect(parcels, { url: hub.url, role: "vendor", id: "acme" });
    await vendor.ready();
    const saying = vendor.emit("pickup", { ...parcel("p"), parcelId: "x".repeat(10_000) });
    const closing = vendor.close({ drainMs: 60_000 }); // longer than a test may take
    await expect(saying).rejects.toMatchObject({ code: "EVENT_TOO_LARGE" });
    await closing;
  });

  it("sends what one turn emits in one message, and keeps the order", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await vendor.ready();
    const receipts = await Promise.all(
      Array.from({ length: 1_000 }, (_, place) => vendor.emit("pickup", parcel(`p-${place}`))),
    );
    expect(receipts.map(({ offset }) => offset)).toEqual(
      Array.from({ length: 1_000 }, (_, place) => place + 1),
    );
  });

  it("splits what is too much for one message", async () => {
    await using hub = await start({ messageBytes: 4_000, eventBytes: 1_000, batchEvents: 7 });
    await using vendor = satellite(hub, "vendor", "acme");
    const receipts = await Promise.all(
      Array.from({ length: 100 }, (_, place) => vendor.emit("pickup", parcel(`p-${place}`))),
    );
    expect(receipts.at(-1)?.offset).toBe(100);
  });

  it("waits while the hub is away, in order, and each event happens once", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await vendor.emit("pickup", parcel("p-0"));
    await hub.stop();
    const waiting = ["p-1", "p-2", "p-3"].map((id) => vendor.emit("pickup", parcel(id)));
    await hub.start();
    expect((await Promise.all(waiting)).map(({ offset }) => offset)).toEqual([2, 3, 4]);
  });

  it("loses and doubles nothing while the hub is stopped and started under it", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    const total = 3_000;
    let next = 0;
    const worker = async () => {
      while (next < total) await vendor.emit("pickup", parcel(`p-${next++}`));
    };
    const working = Promise.all(Array.from({ length: 50 }, worker));
    for (let turn = 1; turn <= 3; turn += 1) {
      while (next < (total * turn) / 4) await new Promise((resolve) => setImmediate(resolve));
      await hub.stop();
      await hub.start();
    }
    await working;
    const keys = new Set<string>();
    let count = 0;
    for (let after = 0; after < hub.log.head; ) {
      const page = await hub.log.read({ after });
      for (const { key } of page.events) keys.add(key as string);
      count += page.events.length;
      after = page.through;
    }
    expect([count, keys.size]).toEqual([total, total]);
  });

  it("rejects at once when too many events wait, and drops none of those that do", async () => {
    await using hub = await start();
    await hub.stop();
    await using vendor = satellite(hub, "vendor", "acme", { outboxEvents: 2 });
    const waiting = [vendor.emit("pickup", parcel("p-1")), vendor.emit("pickup", parcel("p-2"))];
    await expect(vendor.emit("pickup", parcel("p-3"))).rejects.toMatchObject({
      code: "OUTBOX_FULL",
      retryable: true,
    });
    await hub.start();
    expect((await Promise.all(waiting)).map(({ offset }) => offset)).toEqual([1, 2]);
  });

  it("rejects after its own time, and the same id can be said again", async () => {
    await using hub = await start();
    await hub.stop();
    await using vendor = satellite(hub, "vendor", "acme");
    const said = vendor.emit("pickup", parcel("p-1"), { id: "1", timeoutMs: 20 });
    await expect(said).rejects.toMatchObject({ code: "TIMEOUT", retryable: true });
    await hub.start();
    expect(await vendor.emit("pickup", parcel("p-1"), { id: "1" })).toMatchObject({ offset: 1 });
  });
});

describe("on", () => {
  it("hears events with typed data and meta, from now on", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await vendor.emit("pickup", parcel("before"));
    await using driver = satellite(hub, "driver", "d1");
    const { heard, untilKey } = ear(driver, "pickup");
    await driver.ready();
    await vendor.emit("pickup", parcel("p-1"));
    await untilKey("p-1");
    expect(heard).toEqual([{ event: "pickup", key: "p-1", offset: 2 }]);
  });

  it("is sent only what it listens to, also after a change of mind", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await using driver = satellite(hub, "driver", "d1");
    await using logger = satellite(hub, "logger", "l");
    const first = ear(logger, "pickup");
    await logger.ready();
    await vendor.emit("pickup", parcel("p-1"));
    await first.untilKey("p-1");
    logger.off("pickup");
    const second = ear(logger, "in-transit");
    await logger.ready();
    await vendor.emit("pickup", parcel("p-2"));
    await driver.emit("in-transit", {
      ...parcel("p-1"),
      driverId: "d1",
      collectedAt: "2026-01-01T00:00:00Z",
    });
    await second.untilKey("p-1");
    expect([first.heard.length, second.heard.length]).toEqual([1, 1]);
  });

  it("calls a handler of once for the first event only", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    const keys: (string | undefined)[] = [];
    const { untilKey } = ear(vendor, "pickup");
    vendor.once("pickup", (_data, { subject }) => void keys.push(subject));
    await vendor.ready();
    for (const id of ["p-1", "p-2"]) await vendor.emit("pickup", parcel(id));
    await untilKey("p-2");
    expect(keys).toEqual(["p-1"]);
  });

  it("hears all that is kept when it begins at the start, and goes on from a cursor", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    for (const id of ["p-1", "p-2", "p-3"]) await vendor.emit("pickup", parcel(id));
    const first = satellite(hub, "logger", "l", { from: "start" });
    const all = ear(first, "pickup");
    await all.untilKey("p-3");
    expect(all.keys()).toEqual(["p-1", "p-2", "p-3"]);
    const { cursor } = first;
    await first.close();
    await vendor.emit("pickup", parcel("p-4"));
    await using second = satellite(hub, "logger", "l", { from: cursor as NonNullable<typeof cursor> });
    const rest = ear(second, "pickup");
    await rest.untilKey("p-4");
    expect(rest.keys()).toEqual(["p-4"]);
  });

  it("misses nothing over lost connections, the first, the second and the tenth time, also before the first event", async () => {
    await using hub = await start();
    await using logger = satellite(hub, "logger", "l");
    const { heard, keys, untilKey } = ear(logger, "pickup");
    await logger.ready();
    const expected: string[] = [];
    for (let turn = 1; turn <= 10; turn += 1) {
      await hub.stop();
      await hub.start();
      await using vendor = satellite(hub, "vendor", "acme");
      for (const id of [`${turn}-a`, `${turn}-b`]) {
        expected.push(id);
        await vendor.emit("pickup", parcel(id));
      }
    }
    await untilKey(expected.at(-1) as string);
    expect(keys()).toEqual(expected);
    expect(heard.map(({ offset }) => offset)).toEqual(expected.map((_id, place) => place + 1));
  }, 60_000);

  it("runs async handlers one at a time per key, and different keys side by side", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    const running: string[] = [];
    const order: string[] = [];
    const gates = new Map<string, () => void>();
    vendor.on("pickup", async ({ parcelId, customer }) => {
      const name = `${parcelId}/${customer.name}`;
      running.push(name);
      await new Promise<void>((resolve) => gates.set(name, resolve));
      order.push(name);
    });
    const { untilKey } = ear(vendor, "pickup");
    await vendor.ready();
    const say = (id: string, name: string) =>
      vendor.emit("pickup", { ...parcel(id), customer: { name, city: "Recife", state: "PE" } });
    await say("p-1", "first");
    await say("p-1", "second");
    await say("p-2", "first");
    await untilKey("p-2");
    expect(running).toEqual(["p-1/first", "p-2/first"]);
    gates.get("p-1/first")?.();
    while (!gates.has("p-1/second")) await new Promise((resolve) => setImmediate(resolve));
    gates.get("p-1/second")?.();
    gates.get("p-2/first")?.();
    while (order.length < 3) await new Promise((resolve) => setImmediate(resolve));
    expect(order.slice(0, 2)).toEqual(["p-1/first", "p-1/second"]);
  });

  it("hands what a handler throws to onError, and goes on", async () => {
    await using hub = await start();
    const errors: [string, string | undefined][] = [];
    await using vendor = satellite(hub, "vendor", "acme", {
      onError: (error, meta) => void errors.push([(error as Error).message, meta?.subject]),
    });
    vendor.on("pickup", ({ parcelId }) => {
      throw new Error(`thrown ${parcelId}`);
    });
    vendor.on("pickup", async ({ parcelId }) => {
      throw new Error(`rejected ${parcelId}`);
    });
    const { untilKey } = ear(vendor, "pickup");
    await vendor.ready();
    for (const id of ["p-1", "p-2"]) await vendor.emit("pickup", parcel(id));
    await untilKey("p-2");
    while (errors.length < 4) await new Promise((resolve) => setImmediate(resolve));
    expect(errors.map(String).sort()).toEqual([
      "rejected p-1,p-1",
      "rejected p-2,p-2",
      "thrown p-1,p-1",
      "thrown p-2,p-2",
    ]);
  });

  it("reports an event that the role may not hear", async () => {
    await using hub = await start();
    const errors: unknown[] = [];
    await using driver = satellite(hub, "driver", "d1", { onError: (error) => void errors.push(error) });
    driver.on("delivered", () => undefined);
    await driver.ready();
    await using vendor = satellite(hub, "vendor", "acme", { onError: (error) => void errors.push(error) });
    vendor.on("position", () => undefined);
    await expect(vendor.ready()).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(errors).toEqual([expect.objectContaining({ code: "FORBIDDEN" })]);
  });

  it("shows in the status that what it listens to was refused, speaks, and hears what it missed when it thinks again", async () => {
    await using hub = await start();
    await using other = satellite(hub, "vendor", "acme");
    await other.emit("pickup", parcel("p-1"));
    const { seen, onStatus, until } = statuses();
    await using vendor = satellite(hub, "vendor", "acme", {
      from: "start",
      onStatus,
      onError: () => undefined,
    });
    const { keys, untilKey } = ear(vendor, "pickup");
    vendor.on("position", () => undefined);
    await until("not-listening");
    await expect(vendor.ready()).rejects.toMatchObject({ code: "FORBIDDEN" });
    await vendor.emit("pickup", parcel("p-2"));
    expect(await vendor.followers()).toEqual([]); // what it asks the hub is answered, too
    expect(keys()).toEqual([]);
    vendor.off("position");
    await vendor.ready();
    await untilKey("p-2");
    expect(keys()).toEqual(["p-1", "p-2"]);
    expect(seen).toEqual([
      ["online", undefined],
      ["not-listening", "FORBIDDEN"],
      ["online", undefined],
    ]);
  });

  it("asks for it again on the next connection", async () => {
    await using hub = await start();
    const errors: unknown[] = [];
    await using vendor = satellite(hub, "vendor", "acme", { onError: (error) => void errors.push(error) });
    vendor.on("position", () => undefined);
    await expect(vendor.ready()).rejects.toMatchObject({ code: "FORBIDDEN" });
    await hub.stop();
    await hub.start();
    await expect(vendor.ready()).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(errors).toHaveLength(2);
  });

  it("reports a cursor that is none, and is not online with it", async () => {
    await using hub = await start();
    const errors: unknown[] = [];
    const onError = (error: unknown) => void errors.push(error);
    await using logger = satellite(hub, "logger", "l", { from: "yesterday" as never, onError });
    logger.on("pickup", () => undefined);
    await expect(logger.ready()).rejects.toMatchObject({ code: "CURSOR_INVALID" });
    expect([logger.status, errors]).toEqual([
      "not-listening",
      [expect.objectContaining({ code: "CURSOR_INVALID" })],
    ]);
  });

  it("says so when the log has another history, and hears the new one from its start", async () => {
    await using first = await start();
    const gaps: unknown[] = [];
    await using logger = satellite(first, "logger", "l", {
      from: "another:12",
      onGap: (gap) => void gaps.push(gap),
    });
    const { keys, untilKey } = ear(logger, "pickup");
    await using vendor = satellite(first, "vendor", "acme");
    await vendor.emit("pickup", parcel("p-1"));
    await untilKey("p-1");
    expect(gaps).toEqual([{ reason: "epoch", after: "another:12", until: `${first.log.epoch}:0` }]);
    expect(keys()).toEqual(["p-1"]);
  });

  it("says so when its cursor is beyond the end of the log, and hears that from its start", async () => {
    await using hub = await start();
    await using vendor = satellite(hub, "vendor", "acme");
    await vendor.emit("pickup", parcel("p-1"));
    const told: unknown[] = [];
    const after = `${hub.log.epoch}:12` as const;
    await using logger = satellite(hub, "logger", "l", {
      from: after,
      onGap: (gap) => void told.push(gap),
      onError: (error) => void told.push(error),
    });
    const { keys, untilKey } = ear(logger, "pickup");
    await logger.ready();
    await vendor.emit("pickup", parcel("p-2"));
    await untilKey("p-2");
    expect(told).toEqual([{ reason: "epoch", after, until: `${hub.log.epoch}:0` }]);
    expect(keys()).toEqual(["p-1", "p-2"]);
    expect(logger.cursor).toBe(`${hub.log.epoch}:2`);
  });

  it("says so when the log was put back to an older state while it was away", async () => {
    await using directory = await temporaryDirectory();
    const [file, backup] = [join(directory.path, "events.db"), join(directory.path, "backup.db")];
    let port = 0;
    const run = async () => {
      const log = await openSqliteLog({ file });
      const hub = createHub({ contracts: [parcels], log });
      const url = await hub.listen({ port });
      port = Number(new URL(url).port);
      const stop = () => hub.close().then(() => log.close());
      return { url, epoch: log.epoch, stop, [Symbol.asyncDispose]: stop };
    };
    await using first = await run();
    await using vendor = satellite(first, "vendor", "acme");
    const gaps: unknown[] = [];
    await using logger = satellite(first, "logger", "l", { onGap: (gap) => void gaps.push(gap) });
    const { keys, untilKey } = ear(logger, "pickup");
    await logger.ready();
    await vendor.emit("pickup", parcel("p-1"));
    await first.stop();
    await copyFile(file, backup);
    await using second = await run();
    for (const id of ["p-2", "p-3", "p-4"]) await vendor.emit("pickup", parcel(id));
    await untilKey("p-4");
    await second.stop();
    await copyFile(backup, file);
    await using third = await run();
    await vendor.emit("pickup", parcel("p-5"));
    await untilKey("p-5");
    expect(gaps).toEqual([{ reason: "epoch", after: `${third.epoch}:4`, until: `${third.epoch}:0` }]);
    expect(keys()).toEqual(["p-1", "p-2", "p-3", "p-4", "p-1", "p-5"]);
  });
});

describe("the connection", () => {
  it("may be made before there is a hub, and comes back after it", async () => {
    const hub: TestHub = await start();
    await hub.stop();
    const { seen, onStatus, until } = statuses();
    await using vendor = satellite(hub, "vendor", "acme", { onStatus });
    const said = vendor.emit("pickup", parcel("p-1"));
    await hub.start();
    expect(await said).toMatchObject({ offset: 1 });
    await hub.stop();
    await until("offline");
    await hub.start();
    await vendor.ready();
    expect(seen.map(([status]) => status)).toEqual(["online", "offline", "online"]);
    expect(seen[1]).toEqual(["offline", "HUB_CLOSING"]);
    await vendor.close();
    await hub[Symbol.asyncDispose]();
  });

  it("ends when the hub refuses it, with the reason, and says the same to all who wait", async () => {
    await using hub = await start();
    const { seen, onStatus, until } = statuses();
    await using king = satellite(hub, "king", "k", { onStatus });
    const said = king.emit("pickup", parcel("p-1"));
    const ready = king.ready();
    await expect(said).rejects.toMatchObject({ code: "ROLE_UNKNOWN" });
    await expect(ready).rejects.toMatchObject({ code: "ROLE_UNKNOWN" });
    await until("refused");
    expect(seen).toEqual([["refused", "ROLE_UNKNOWN"]]);
    await expect(king.emit("pickup", parcel("p-2"))).rejects.toMatchObject({ code: "ROLE_UNKNOWN" });
  });

  it("ends, with the reason, also when the hub refuses its request, as one that is not of this machine", async () => {
    await using hub = await start();
    const elsewhere = hub.url.replace("127.0.0.1", "0.0.0.0"); // leads here, and is not known to
    await using driver = satellite({ url: elsewhere }, "driver", "d1");
    await expect(driver.ready()).rejects.toMatchObject({ code: "OPEN_MODE_NOT_LOOPBACK" });
    expect(driver.status).toBe("refused");
  });

  it("says before it closes what is still to be said", async () => {
    await using hub = await start();
    const vendor = connect(parcels, { url: hub.url, role: "vendor", id: "acme" });
    await vendor.ready();
    const said = vendor.emit("pickup", parcel("p-1"));
    await vendor.close();
    expect(await said).toMatchObject({ offset: 1 });
    expect(vendor.status).toBe("closed");
    await expect(vendor.emit("pickup", parcel("p-2"))).rejects.toMatchObject({ code: "CLOSED" });
    await expect(vendor.ready()).rejects.toMatchObject({ code: "CLOSED" });
    await vendor.close();
  });

  it("closes while there is no hub, and rejects what still waits", async () => {
    const vendor = connect(parcels, { url: "http://127.0.0.1:1", role: "vendor", id: "acme" });
    const said = vendor.emit("pickup", parcel("p-1"));
    await Promise.all([expect(said).rejects.toMatchObject({ code: "CLOSED" }), vendor.close()]);
  });
});
