import type { Plan } from "../src/arena.ts";
import { fanOut } from "../src/questions/fan-out.ts";
import { ingest } from "../src/questions/ingest.ts";

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
