import type { Parcel } from "@orrery/contracts/parcels";
import type { Plan } from "../src/arena.ts";
import { type GuardName, Guards, guardNames } from "../src/guards.ts";
import { parcelOf } from "../src/parcel.ts";
import { behind } from "../src/questions/behind.ts";
import { catchUp } from "../src/questions/catch-up.ts";
import { claims } from "../src/questions/claims.ts";
import { connections } from "../src/questions/connections.ts";
import { dropOuts } from "../src/questions/drop-outs.ts";
import { fanOut } from "../src/questions/fan-out.ts";
import { floods } from "../src/questions/floods.ts";
import { guards } from "../src/questions/guards.ts";
import { ingest } from "../src/questions/ingest.ts";
import { reconnectMany } from "../src/questions/reconnect-many.ts";
import { restart } from "../src/questions/restart.ts";
import { stalled } from "../src/questions/stalled.ts";
import type { Row } from "../src/report.ts";
import { type Message, readOf } from "../src/speaker.ts";

// The measuring itself throws when an event is missing, comes twice or comes out of order. No figure is looked at here:
// this machine may be busy with anything.
const smallest: Plan = {
  rounds: 1,
  durationMs: 50,
  isQuick: true,
  isProfiled: false,
  signal: new AbortController().signal,
};

it("acks every event of SDK and plain clients, and keeps it in its place", async () => {
  const rows = await ingest.answer(smallest);
  expect(rows.map(({ labels }) => labels.server)).toEqual([
    "Orrery, SDK",
    "Orrery, plain",
    "bare relay, plain",
  ]);
}, 60_000);

it("brings every event to every listener, once and in order, under each load", async () => {
  const rows = await fanOut.answer(smallest);
  expect(new Set(rows.map(({ labels }) => labels.load))).toEqual(new Set(["paced", "bursts of 100", "hub"]));
}, 120_000);

const labelled = (rows: readonly Row[], label: string) => rows.map(({ labels }) => labels[label]);

it("brings everything kept to a follower and to a live listener, once and each parcel's in order", async () => {
  expect(labelled(await catchUp.answer(smallest), "satellite")).toEqual(["follower", "live listener"]);
}, 60_000);

it("brings everything missed to all that come back at once", async () => {
  expect(labelled(await reconnectMany.answer(smallest), "satellites")).toEqual(["20"]);
}, 60_000);

it("brings live events in order while followers catch up beside them", async () => {
  expect(labelled(await behind.answer(smallest), "followers")).toEqual(["none", "10, far behind"]);
}, 60_000);

it("has every event after a crash, and takes the next one", async () => {
  expect(labelled(await restart.answer(smallest), "events kept")).toEqual(["10,000"]);
}, 60_000);

it("brings every event to connections that drop, once and in order", async () => {
  const [orrery] = await dropOuts.answer(smallest);
  const figures = [orrery?.figures["delivered %"]?.min, orrery?.figures.duplicates?.max];
  expect([...figures, orrery?.figures.disordered?.max]).toEqual([100, 0, 0]);
  expect(orrery?.figures.drops?.min).toBeGreaterThan(0);
}, 60_000);

it("brings everything to a reader that stopped for a while, and to those beside it", async () => {
  expect(labelled(await stalled.answer(smallest), "server")).toEqual([
    "Orrery",
    "Orrery, all read",
    "bare relay",
  ]);
}, 60_000);

it("serves a satellite beside each kind of flood", async () => {
  const rows = await floods.answer(smallest);
  expect(labelled(rows, "flood")).toEqual([
    "none",
    "events",
    "malformed",
    "big messages",
    "too large",
    "requests",
    "churn",
    "events × 20",
    "malformed × 20",
  ]);
}, 120_000);

it("takes every connection, or as many as it may and refuses the rest with a code, and serves those that it took", async () => {
  const rows = await connections.answer(smallest);
  expect(rows.map(({ figures }) => figures.accepted?.max)).toEqual([200, 200, 50]);
  expect(rows.at(-1)?.verdicts).toEqual(["Orrery, at its maximum: 50 refused with CONNECTIONS_TOO_MANY"]);
}, 60_000);

it("measures guards that let pass what may, and refuse the rest", async () => {
  const guards = new Guards(() => 0); // no time passes, so nobody gets back what was said
  const saying = (...events: Parcel[]) => readOf([events])[0] as Message;
  const parcel = parcelOf(0, 0);
  const fine = saying(parcel);
  const passes = (name: GuardName, message = fine, speaker = guards.connect()) =>
    guards.mayPass[name](speaker, message);
  expect(guardNames.filter((name) => passes(name))).toEqual(guardNames);

  const reserved = { ...parcel, customer: JSON.parse('{ "__proto__": {} }') };
  const [speaker, loud] = [guards.connect(), guards.connect()];
  const thousand = saying(...Array.from({ length: 1_000 }, () => parcel));
  for (let batch = 0; batch < 20; batch += 1) expect(passes("rate", thousand, speaker)).toBe(true);
  const refused: Readonly<Record<GuardName, boolean>> = {
    arrival: passes("arrival", { ...fine, read: Buffer.alloc(5_000_000) }, loud),
    session: passes("session", fine, guards.connect(Date.now() - 1)),
    rate: passes("rate", fine, speaker),
    shape: passes("shape", saying(reserved)),
    rights: passes("rights", saying({ ...parcel, vendorId: "another" })),
    load: passes("load", { ...fine, dataBytes: 1_000_000 }),
  };
  expect(guardNames.filter((name) => refused[name])).toEqual([]);
  guards.commit();
  loud.leave();
});

it("measures what guards cost, by themselves and in a hub that lets nobody in without a token", async () => {
  // What all guards take is a difference: so many milliseconds of each that what is cold does not hide it.
  const rows = await guards.answer({ ...smallest, durationMs: 400 });
  expect(new Set(labelled(rows, "what"))).toEqual(
    new Set([
      "an event, with tokens",
      "an event, open mode",
      ...guardNames.map((name) => `guard: ${name}`),
      "all guards",
      "a handshake, open mode",
      ...["HS256", "EdDSA"].flatMap((name) => [`a handshake, ${name}`, `token check, ${name}`]),
    ]),
  );
  // What a single guard takes may be lost in so short a time.
  const wholes = rows.filter(({ labels }) => !labels.what?.startsWith("guard: "));
  expect(wholes.filter(({ figures }) => !((figures["CPU µs"]?.min ?? 0) > 0))).toEqual([]);
}, 60_000);

const groups = ["Orrery, keyed", "Orrery, unordered"];

it("hands out and settles every event once, beside the peers that are installed", async () => {
  const servers = labelled(await claims.answer(smallest), "server");
  expect(servers.filter((server) => groups.includes(server ?? ""))).toEqual([...groups, ...groups]);
}, 120_000);

it("hands out and settles events without the peers, and says how to get them", async () => {
  const { PATH } = process.env;
  process.env.PATH = "";
  try {
    const rows = await claims.answer(smallest);
    expect(labelled(rows, "server")).toEqual([...groups, ...groups]);
    const said = rows.flatMap(({ verdicts }) => verdicts).join("\n");
    expect(said).toMatch(/apt-get install redis-server.*apt-get install postgresql/s);
  } finally {
    process.env.PATH = PATH;
  }
}, 60_000);
