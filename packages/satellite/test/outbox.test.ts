import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parcels } from "@orrery/contracts/parcels";
import { startHub, type TestHub } from "@orrery/hub-core/testing";
import { connect, type Satellite, type SatelliteOptions } from "../src/index.ts";
import { openOutboxStore } from "../src/outbox-file.ts";
import { turn, until } from "./waiting.ts";

type Parcels = typeof parcels;
const start = () => startHub({ contracts: [parcels] });
const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}${n}`);
const pickup = (parcelId: string) => ({
  parcelId,
  vendorId: "acme",
  customer: { city: "Recife", state: "PE" },
});
const say = (vendor: Satellite<Parcels>, keys: readonly string[]) =>
  Promise.all(keys.map((key) => vendor.emit("pickup", pickup(key))));

/** A path for an outbox in a directory of its own, which goes with the test. `left`: what an earlier process left there. */
async function somePath(left?: string) {
  const directory = await mkdtemp(join(tmpdir(), "orrery-outbox-"));
  const file = join(directory, "deep", "outbox");
  if (left !== undefined) {
    await openOutboxStore({ file }).open(); // makes the directory
    await writeFile(file, left);
  }
  return { file, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

function satellite(hub: TestHub, file: string, options: Partial<SatelliteOptions> = {}) {
  const outbox = { file };
  const made = connect(parcels, { url: hub.url, role: "vendor", id: "acme", outbox, ...options });
  return Object.assign(made, { [Symbol.asyncDispose]: () => made.close({ drainMs: 0 }) });
}

const vendorScript = fileURLToPath(new URL("./fixtures/outbox-vendor.ts", import.meta.url));

/** The same in a process of its own, which says so many pickups at once; killed when `last` has its receipt. */
class VendorProcess implements AsyncDisposable {
  /** What it has printed: keys that have their receipt, and codes of errors. */
  printed = "";
  readonly #child: ChildProcess;
  readonly closed: Promise<unknown>;

  constructor(hub: TestHub, file: string, prefix: string, count: number, last = "") {
    const args = ["--conditions=@orrery/source", "--import", "tsx", vendorScript];
    this.#child = spawn(process.execPath, [...args, hub.url, file, prefix, `${count}`, last], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.closed = once(this.#child, "close");
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.printed += text;
    });
  }

  get acked(): readonly string[] {
    return this.printed.split("\n").slice(0, -1);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.closed;
  }

  [Symbol.asyncDispose] = () => this.kill();
}

/** How many entries the file holds, whether or not they were removed later on. */
const entriesIn = (file: string) =>
  existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line.includes('"id"')).length
    : 0;
const entry = (id: string, event = "pickup") =>
  `${JSON.stringify({ id, text: JSON.stringify([event, pickup(id), { id }]) })}\n`;

async function keysIn(hub: TestHub): Promise<readonly (string | undefined)[]> {
  const keys: (string | undefined)[] = [];
  for (let after = 0; after < hub.log.head; ) {
    const page = await hub.log.read({ after });
    keys.push(...page.events.map(({ key }) => key));
    after = page.through;
  }
  return keys;
}

describe("what a process that was killed had said", () => {
  it("while the hub was away is said first by the next one, in order, once", async () => {
    await using hub = await start();
    await using path = await somePath();
    await hub.stop();
    const vendor = new VendorProcess(hub, path.file, "a", 300);
    await until(() => entriesIn(path.file) === 300);
    await vendor.kill();
    await hub.start();
    await using next = satellite(hub, path.file);
    await say(next, ["new"]);
    expect(await keysIn(hub)).toEqual([...numbered("a", 300), "new"]);
    await until(() => !existsSync(path.file) && !existsSync(`${path.file}.lock`));
  });

  it("to a hub that was there is said again where it has no receipt, and happens once", async () => {
    await using hub = await start();
    await using path = await somePath();
    const count = 3_000;
    for (const prefix of ["a", "b", "c"]) {
      await using vendor = new VendorProcess(hub, path.file, prefix, count, `${prefix}300`);
      await vendor.closed;
      expect(entriesIn(path.file)).toBeGreaterThan(0);
    }
    await using last = satellite(hub, path.file);
    await say(last, ["end"]);
    expect(await keysIn(hub)).toEqual([
      ...["a", "b", "c"].flatMap((prefix) => numbered(prefix, count)),
      "end",
    ]);
    await until(() => !existsSync(path.file));
  });
});

describe("an outbox", () => {
  it("keeps what its satellite had not said when it was closed", async () => {
    await using hub = await start();
    await using path = await somePath();
    await hub.stop();
    const first = satellite(hub, path.file);
    const said = say(first, ["a", "b"]);
    await Promise.all([expect(said).rejects.toMatchObject({ code: "CLOSED" }), first.close()]);
    await hub.start();
    await using second = satellite(hub, path.file);
    await say(second, ["c"]);
    expect(await keysIn(hub)).toEqual(["a", "b", "c"]);
  });

  it("leaves out a last line that a killed process has not finished", async () => {
    await using hub = await start();
    await using path = await somePath(entry("a") + entry("b") + entry("c").slice(0, -20));
    await using vendor = satellite(hub, path.file);
    await say(vendor, ["d"]);
    expect(await keysIn(hub)).toEqual(["a", "b", "d"]);
    await until(() => !existsSync(path.file));
  });

  it("that cannot be read is reported and left as it is, and events go out all the same", async () => {
    await using hub = await start();
    const text = `${entry("a")}no line of an outbox\n${entry("b")}`;
    await using path = await somePath(text);
    const errors: unknown[] = [];
    await using vendor = satellite(hub, path.file, { onError: (error) => void errors.push(error) });
    await say(vendor, ["c"]);
    await vendor.close();
    expect(errors[0]).toBeInstanceOf(SyntaxError);
    expect(await keysIn(hub)).toEqual(["c"]);
    expect(readFileSync(path.file, "utf8")).toBe(text);
    expect(existsSync(`${path.file}.lock`)).toBe(false);
  });

  it("stays small however much goes through it while something waits, and loses nothing of that", async () => {
    await using path = await somePath();
    const store = openOutboxStore(path);
    await store.open();
    const text = "x".repeat(1_000);
    await store.put([{ id: "first", text }]);
    let mostBytes = 0;
    for (let n = 0; n < 100; n += 1) {
      const ids = numbered(`${n}/`, 100);
      await store.put(ids.map((id) => ({ id, text })));
      await store.remove(ids);
      mostBytes = Math.max(mostBytes, (await stat(path.file)).size);
    }
    await store.put([{ id: "last", text }]);
    await store.close();
    expect(mostBytes).toBeLessThan(2_000_000); // of ten million
    const again = openOutboxStore(path);
    expect((await again.open()).map(({ id }) => id)).toEqual(["first", "last"]);
    await again.remove(["first", "last"]);
    await again.close();
    expect([existsSync(path.file), existsSync(`${path.file}.lock`)]).toEqual([false, false]);
  });

  it("is gone when every event has its receipt", async () => {
    await using hub = await start();
    await using path = await somePath();
    await using vendor = satellite(hub, path.file);
    const said = say(vendor, numbered("a", 2_000));
    await until(() => existsSync(path.file));
    await said;
    await until(() => !existsSync(path.file) && !existsSync(`${path.file}.lock`));
    await say(vendor, ["more"]);
    await until(() => !existsSync(path.file));
    expect((await keysIn(hub)).length).toBe(2_001);
  });

  it("reports a stored event that the hub refuses, and lets it go", async () => {
    await using hub = await start();
    await using path = await somePath(entry("a") + entry("b", "vanished") + entry("c"));
    const errors: unknown[] = [];
    await using vendor = satellite(hub, path.file, { onError: (error) => void errors.push(error) });
    await say(vendor, ["d"]);
    expect(errors).toEqual([expect.objectContaining({ code: "UNKNOWN_EVENT" })]);
    expect(await keysIn(hub)).toEqual(["a", "c", "d"]);
    await until(() => !existsSync(path.file));
  });

  it("is full with what an earlier process has left, too", async () => {
    await using hub = await start();
    await using path = await somePath(entry("a") + entry("b"));
    const { ino } = await stat(path.file);
    await hub.stop();
    await using vendor = satellite(hub, path.file, { outboxEvents: 3 });
    // It is written anew when it was read.
    await until(async () => (await stat(path.file)).ino !== ino);
    await stat(path.file); // asked after the writing, so answered after it: by then it is read
    await turn();
    await turn();
    const third = say(vendor, ["c"]);
    await expect(say(vendor, ["d"])).rejects.toMatchObject({ code: "OUTBOX_FULL" });
    await hub.start();
    await third;
    expect(await keysIn(hub)).toEqual(["a", "b", "c"]);
  });
});

describe("two processes on one file:", () => {
  it("the later one is told, and speaks without it; the earlier one loses nothing", async () => {
    await using hub = await start();
    await using path = await somePath();
    await hub.stop();
    await using first = new VendorProcess(hub, path.file, "a", 100);
    await until(() => entriesIn(path.file) === 100);
    const errors: unknown[] = [];
    await using second = satellite(hub, path.file, { onError: (error) => void errors.push(error) });
    const said = say(second, ["b"]);
    await until(() => errors.length > 0);
    expect(errors[0]).toMatchObject({ code: "OUTBOX_LOCKED" });
    expect(entriesIn(path.file)).toBe(100);
    await hub.start();
    await said;
    await until(() => first.acked.length === 100);
    const keys = await keysIn(hub);
    expect(keys).toHaveLength(101);
    expect(keys).toContain("b");
    expect(keys.filter((key) => key !== "b")).toEqual(numbered("a", 100));
  });

  it("what the earlier one leaves when it is killed is not lost when the later one goes on", async () => {
    await using hub = await start();
    await using path = await somePath();
    await hub.stop();
    const first = new VendorProcess(hub, path.file, "a", 100);
    await until(() => entriesIn(path.file) === 100);
    const errors: unknown[] = [];
    {
      await using second = satellite(hub, path.file, { onError: (error) => void errors.push(error) });
      await until(() => errors.length > 0);
      await first.kill();
      await hub.start();
      await say(second, ["b"]);
    }
    await using third = satellite(hub, path.file);
    await say(third, ["c"]);
    const keys = await keysIn(hub);
    expect(keys).toHaveLength(102);
    expect(new Set(keys)).toEqual(new Set([...numbered("a", 100), "b", "c"]));
  });

  it("the lock of one that was killed is taken over", async () => {
    await using hub = await start();
    await using path = await somePath();
    await hub.stop();
    const first = new VendorProcess(hub, path.file, "a", 1);
    await until(() => entriesIn(path.file) === 1);
    await first.kill();
    expect(existsSync(`${path.file}.lock`)).toBe(true);
    await hub.start();
    const errors: unknown[] = [];
    await using second = satellite(hub, path.file, { onError: (error) => void errors.push(error) });
    await say(second, ["b"]);
    expect(errors).toEqual([]);
    expect(await keysIn(hub)).toEqual(["a0", "b"]);
  });

  it("whoever finds a lock finds in it whose it is", async () => {
    await using path = await somePath();
    const store = openOutboxStore(path);
    await store.open();
    const lock = `${path.file}.lock`;
    const putting = store.put([{ id: "a", text: "" }]);
    // Looks while the system works and this thread does nothing else, so at every state of its files.
    const isSeen = () => Array.from({ length: 2_000 }).some(() => existsSync(lock));
    while (!isSeen()) await turn();
    expect(readFileSync(lock, "utf8")).toContain(String(process.pid));
    await putting;
    await store.close();
  });

  it("one of several has the lock, and the others are told, also when they find that of a dead process at once", async () => {
    await using path = await somePath(entry("a"));
    // A number that no process has, none at all, and that of one with this process's number before a restart.
    for (const stale of [undefined, "999999999", "", String(process.pid), `${process.pid} 1`]) {
      if (stale !== undefined) await writeFile(`${path.file}.lock`, stale);
      const stores = Array.from({ length: 10 }, () => openOutboxStore(path));
      const opened = await Promise.allSettled(stores.map((store) => store.open()));
      const reasons = opened.flatMap((one) => (one.status === "rejected" ? [one.reason.code] : []));
      expect([stale, reasons]).toEqual([stale, Array.from({ length: 9 }, () => "OUTBOX_LOCKED")]);
      await Promise.all(stores.map((store) => store.close()));
      expect((await readdir(dirname(path.file))).sort()).toEqual(["outbox"]);
    }
  });
});

describe("two satellites of one process on one file:", () => {
  it("the later one is told, and speaks without it; the earlier one loses nothing", async () => {
    await using hub = await start();
    await using path = await somePath();
    await hub.stop();
    await using first = satellite(hub, path.file);
    const saidFirst = say(first, ["a", "b"]);
    await until(() => entriesIn(path.file) === 2);
    const errors: unknown[] = [];
    await using second = satellite(hub, path.file, { onError: (error) => void errors.push(error) });
    await until(() => errors.length > 0);
    expect(errors[0]).toMatchObject({ code: "OUTBOX_LOCKED" });
    const saidSecond = say(second, ["c"]);
    await hub.start();
    await Promise.all([saidFirst, saidSecond]);
    const keys = await keysIn(hub);
    expect(keys).toHaveLength(3);
    expect(new Set(keys)).toEqual(new Set(["a", "b", "c"]));
  });
});
