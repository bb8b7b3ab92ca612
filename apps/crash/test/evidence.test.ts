import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteLog } from "@orrery/event-log";
import { followers, publishers, traces } from "../src/cast.ts";
import { readEvidence } from "../src/evidence.ts";

/** An empty log and the directories of all satellites, as a run makes them. */
async function emptyScene() {
  const directory = await mkdtemp(join(tmpdir(), "orrery-crash-test-"));
  const directoryOf = (name: string) => join(directory, name);
  for (const { name } of [...publishers, ...followers]) await mkdir(directoryOf(name));
  const log = join(directory, "events.db");
  return {
    log,
    directoryOf,
    read: () => readEvidence(log, directory),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

const receipt = (offset: number) => ({ id: `e-${offset}`, key: "k", offset });
const text = (...lines: readonly object[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join("");

it("reads the satellites' files by lives, without a line that a kill has torn", async () => {
  await using scene = await emptyScene();
  const publisher = scene.directoryOf("publisher-1");
  await writeFile(traces.receipts(publisher, 1), `${text(receipt(1), receipt(2))}{"id":"e-3","ke`);
  await writeFile(traces.receipts(publisher, 2), "");
  const follower = scene.directoryOf("follower-1");
  await writeFile(traces.handled(follower, 10), text(receipt(2)));
  await writeFile(traces.handled(follower, 9), `${text(receipt(1))}{`);
  const { receipts, followed } = await scene.read();
  expect(receipts).toEqual([receipt(1), receipt(2)]);
  expect(followed[0]?.handled).toEqual([
    { ...receipt(1), life: 9 },
    { ...receipt(2), life: 10 },
  ]);
});

it("reads what a killed publisher had in its outbox: what was put and not removed", async () => {
  await using scene = await emptyScene();
  const lines = text({ id: "a", text: "" }, { id: "b", text: "" }, { removed: ["a"] }, { id: "c", text: "" });
  const left = traces.left(scene.directoryOf("publisher-2"), 2, "publisher-2.0");
  await writeFile(left, `${lines}{"removed":["b"`);
  expect((await scene.read()).stored).toEqual(["b", "c"]);
});

it("reads the log, and which of its events a follower wants", async () => {
  await using scene = await emptyScene();
  const log = await openSqliteLog({ file: scene.log });
  const said = (vendorId: string, serial: number) => ({
    contract: "parcels",
    id: `${vendorId}-${serial}`,
    event: "pickup",
    key: `${vendorId}/0`,
    rooms: [`vendor:${vendorId}`],
    source: `vendor:${vendorId}`,
    timeMs: 0,
    data: JSON.stringify({ parcelId: `${vendorId}/0`, vendorId, customer: { name: String(serial) } }),
    keep: "log" as const,
  });
  await log.append([said("publisher-1.0", 7), said("publisher-2.0", 8)]);
  await log.close();
  const evidence = await scene.read();
  const [first, second] = evidence.log;
  expect(first).toEqual({
    offset: 1,
    id: "publisher-1.0-7",
    key: "publisher-1.0/0",
    vendor: "publisher-1.0",
    serial: 7,
  });
  expect(second).toMatchObject({ offset: 2, vendor: "publisher-2.0", serial: 8 });
  const wanted = evidence.followed.map(({ wants }) => evidence.log.filter(wants).length);
  expect(wanted).toEqual([2, 1]);
});
