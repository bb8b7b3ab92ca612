import { OrreryError, type Present, type SatelliteStatus } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { startHub, type TestHub } from "@orrery/hub-core/testing";
import { connect, type PresenceHandlers, type Satellite } from "../src/index.ts";
import { FakeHub } from "./fake-hub.ts";
import { until } from "./waiting.ts";

/** Longer than any test. */
const longMs = 600_000;
const start = (limits: object = {}) => startHub({ contracts: [parcels], limits });
const withCode = (code: string) => expect.objectContaining({ code });
type Role = "driver" | "logger" | "vendor" | "board";

/** A satellite that is closed at the end of its test, what it was told of others, and what its `onError` has heard. */
async function join({ url }: { readonly url: string }, role: Role, id: string) {
  const errors: unknown[] = [];
  const told: string[] = [];
  const made = connect(parcels, { url, role, id, onError: (error) => errors.push(error) });
  await made.ready();
  const handlers: PresenceHandlers<Parcels> = {
    onCame: ({ satellite }) => void told.push(`came ${satellite}`),
    onWent: ({ satellite }) => void told.push(`went ${satellite}`),
  };
  const dispose = () => made.close({ drainMs: 0 });
  return Object.assign(made, { errors, told, handlers, [Symbol.asyncDispose]: dispose });
}

/** A board that watches. */
async function watcher(hub: { readonly url: string }) {
  const board = await join(hub, "board", "b");
  const watching = board.watchPresence(board.handlers);
  await watching.ready();
  return Object.assign(board, { watching });
}

/** The hub loses the satellite's connection, without a word. */
function cut({ hub }: TestHub, id: string): void {
  for (const socket of hub.namespace(parcels).sockets.values()) {
    if ((socket.data as { identity: { id: string } }).identity.id === id) socket.conn.close();
  }
}

const lost = (satellite: Satellite<Parcels>) => until(() => satellite.status === "offline");
const tells = ({ told }: { readonly told: readonly string[] }, news: string) =>
  until(() => told.includes(news));

it("a satellite asks who is connected, whatever the number of pages", async () => {
  await using hub = await start({ messageBytes: 3_000 });
  await using logger = await join(hub, "logger", "l");
  const ids = Array.from({ length: 12 }, (_, n) => `d${String(n).padStart(2, "0")}`);
  const drivers = await Promise.all(ids.map((id) => join(hub, "driver", id)));
  const satellites = await logger.who();
  expect(satellites.map(({ satellite }) => satellite)).toEqual([
    ...ids.map((id) => `driver:${id}`),
    "logger:l",
  ]);
  const status: SatelliteStatus = {
    satellite: "driver:d00",
    role: "driver",
    id: "d00",
    since: expect.stringMatching(/^\d{4}-.*Z$/) as never,
    rooms: ["driver:d00", "satellite:d00"],
    connections: 1,
    lag: 0,
  };
  expect(satellites[0]).toEqual(status);
  await Promise.all(drivers.map((driver) => driver.close()));
});

it("one that watches is told of all that are there, and then of who comes and who goes", async () => {
  await using hub = await start({ presenceGraceMs: 100 });
  await using _there = await join(hub, "driver", "there");
  await using board = await join(hub, "board", "b");
  const seen: Present[] = [];
  const onCame = (satellite: Present) => void seen.push(satellite);
  const { onWent } = board.handlers as Required<PresenceHandlers<Parcels>>;
  await board.watchPresence({ onCame, onWent }).ready();
  const driver = await join(hub, "driver", "d1");
  await until(() => seen.length === 3);
  expect(seen.map(({ satellite }) => satellite)).toEqual(["board:b", "driver:there", "driver:d1"]);
  const since = expect.stringMatching(/^\d{4}-.*Z$/);
  expect(seen[2]).toEqual({ satellite: "driver:d1", role: "driver", id: "d1", since });
  await driver.close();
  await tells(board, "went driver:d1");
  expect(board.errors).toEqual([]);
});

it("the compiler knows the roles that come", () => {
  const claims = (satellite: Satellite<Parcels>) => {
    satellite.watchPresence({ onCame: ({ role }) => void (role === "driver") });
    // @ts-expect-error: no such role
    satellite.watchPresence({ onWent: ({ role }) => void (role === "pirate") });
    // @ts-expect-error: no such role
    void satellite.who().then(([first]) => first?.role === "pirate");
    // @ts-expect-error: no such handler
    satellite.watchPresence({ onGone: () => undefined });
  };
  expect(claims).toBeInstanceOf(Function);
});

it("what is refused rejects, onError hears of it, and nothing is told", async () => {
  await using hub = await start();
  await using driver = await join(hub, "driver", "d1");
  await expect(driver.who()).rejects.toEqual(withCode("FORBIDDEN"));
  const watching = driver.watchPresence(driver.handlers);
  await expect(watching.ready()).rejects.toEqual(withCode("FORBIDDEN"));
  await expect(watching.ready()).rejects.toEqual(withCode("FORBIDDEN"));
  expect(driver.errors).toEqual([withCode("FORBIDDEN")]);
  await watching.stop();
  const again = driver.watchPresence(driver.handlers);
  await expect(again.ready()).rejects.toBeInstanceOf(OrreryError);
  expect([driver.told, driver.status]).toEqual([[], "online"]);
});

it("a satellite watches once at a time, hears nothing after stop, and may watch again", async () => {
  await using hub = await start({ presenceGraceMs: 1 });
  await using board = await watcher(hub);
  await using other = await join(hub, "logger", "other");
  await tells(board, "came logger:other");
  expect(() => board.watchPresence({})).toThrow(withCode("CONFIG_INVALID"));
  await board.watching.stop();
  await expect(board.watching.ready()).rejects.toEqual(withCode("CLOSED"));
  await other.watchPresence(other.handlers).ready();
  await using _late = await join(hub, "driver", "late");
  await tells(other, "came driver:late");
  await board.who();
  expect(board.told).toEqual(["came board:b", "came logger:other"]);
  const told: string[] = [];
  await board.watchPresence({ onCame: ({ id }) => void told.push(id) }).ready();
  expect(told).toEqual(["b", "late", "other"]);
  await board.close();
  expect(() => board.watchPresence({})).toThrow(withCode("CLOSED"));
});

it("what handlers throw goes to onError, and the others are told all the same", async () => {
  await using hub = await start();
  await using board = await join(hub, "board", "b");
  const failure = new Error("no");
  const rejection = new Error("no either");
  const told: string[] = [];
  const watching = board.watchPresence({
    async onCame({ id }) {
      told.push(id);
      if (id === "b") throw rejection;
    },
  });
  await watching.ready();
  await until(() => board.errors.length === 1);
  await watching.stop();
  const onCame = ({ id }: Present) => {
    told.push(id);
    if (id === "b") throw failure;
  };
  await board.watchPresence({ onCame }).ready();
  await using _driver = await join(hub, "driver", "d1");
  await until(() => told.length === 3);
  expect(board.errors).toEqual([rejection, failure]);
});

describe("after its connection was lost, one that watches is told", () => {
  it("of who came and who went in the meantime, and nothing of the others", async () => {
    await using hub = await start({ presenceGraceMs: 200 });
    await using _stays = await join(hub, "driver", "stays");
    const goes = await join(hub, "driver", "goes");
    await using board = await watcher(hub);
    const before = ["came board:b", "came driver:goes", "came driver:stays"];
    expect(board.told).toEqual(before);
    cut(hub, "b");
    await lost(board);
    await goes.close();
    await using _new = await join(hub, "driver", "new");
    await Promise.all([tells(board, "went driver:goes"), tells(board, "came driver:new")]);
    expect(board.told).toHaveLength(before.length + 2);
  });

  it("nothing of satellites that come back to a hub that was started again, even before they are back", async () => {
    await using hub = await start({ presenceGraceMs: longMs });
    await using _stays = await join(hub, "driver", "stays");
    const goes = await join(hub, "driver", "goes");
    await using board = await watcher(hub);
    const before = [...board.told];
    await hub.stop();
    await lost(board);
    await goes.close();
    await hub.start();
    await until(async () => (await board.who()).some(({ id }) => id === "stays"));
    await using _new = await join(hub, "driver", "new");
    await tells(board, "came driver:new");
    expect(board.told).toEqual([...before, "came driver:new"]);
  });

  it("of those that do not come back to a hub that was started again, when the grace is over", async () => {
    await using hub = await start({ presenceGraceMs: 300 });
    const goes = await join(hub, "driver", "goes");
    await using board = await watcher(hub);
    await hub.stop();
    await lost(board);
    await goes.close();
    await hub.start();
    await board.ready();
    const backMs = performance.now();
    expect(board.told).toEqual(["came board:b", "came driver:goes"]);
    await tells(board, "went driver:goes");
    expect(performance.now() - backMs).toBeGreaterThanOrEqual(290);
    expect(board.told).toHaveLength(3);
  });
});

it("one that was told that it reads too slowly asks again, and is told what is different", async () => {
  await using hub = await FakeHub.start();
  const present = (id: string) => ({ satellite: `driver:${id}`, role: "driver", id, since: "" });
  const page = (ids: readonly string[], next?: string) => ({
    ok: true,
    satellites: ids.map((id) => ({ ...present(id), rooms: [], connections: 1, lag: 0 })),
    ...(next !== undefined && { next }),
    graceMs: 1,
  });
  hub.answers["hub:who"] = ({ after }) => (after === undefined ? page(["a"], "driver:a") : page(["b"]));
  await using board = await watcher(hub);
  expect(hub.heard("hub:who")).toEqual([{ watch: true }, { after: "driver:a" }]);
  hub.answers["hub:who"] = () => page(["b", "c"]);
  hub.say("hub:presence", { changes: [{ kind: "came", ...present("d") }] });
  hub.say("hub:presence", { changes: [], isOver: true });
  await tells(board, "went driver:d");
  expect(hub.heard("hub:who").slice(2)).toEqual([{ watch: true }]);
  const first = ["came driver:a", "came driver:b"];
  expect(board.told.slice(0, 4)).toEqual([...first, "came driver:d", "came driver:c"]);
  expect(board.told.slice(4).sort()).toEqual(["went driver:a", "went driver:d"]);
});
