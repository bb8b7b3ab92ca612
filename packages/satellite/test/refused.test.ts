import { OrreryError } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { startHub, type TestHub } from "@orrery/hub-core/testing";
import { connect, type Satellite } from "../src/index.ts";
import { FlakyProxy } from "./flaky-proxy.ts";
import { turn, until } from "./waiting.ts";

async function connected(url: string) {
  const made = connect(parcels, { url, role: "vendor", id: "acme" });
  await made.ready();
  return Object.assign(made, { [Symbol.asyncDispose]: () => made.close({ drainMs: 0 }) });
}

/** One message of the satellite: pickups of one parcel, with `bytes` of filling in each. */
const say = (vendor: Satellite<Parcels>, cities: readonly string[], bytes = 1) =>
  Promise.all(
    cities.map((city) => {
      const customer = { city, state: "PE", name: "x".repeat(bytes) };
      return vendor.emit("pickup", { parcelId: "p", vendorId: "acme", customer });
    }),
  );

/** The hub's log: its commits wait until it is `opened`, and those of more than `room` events fail for want of space. */
function guard({ log }: TestHub, room = Number.POSITIVE_INFINITY) {
  const append = log.append.bind(log);
  const guarded = {
    room,
    commits: 0,
    refusals: 0,
    open: (): void => undefined,
  };
  const opened = new Promise<void>((resolve) => {
    guarded.open = resolve;
  });
  log.append = async (batch, records) => {
    guarded.commits += 1;
    await opened;
    if (batch.length <= guarded.room) return append(batch, records);
    guarded.refusals += 1;
    throw new OrreryError("LOG_FULL");
  };
  return guarded;
}

/** Calls back with the number of each message that the hub gets of its satellites from now on, when it has dealt with it. */
function onMessage({ hub }: TestHub, call: (count: number) => void): void {
  let count = 0;
  for (const socket of hub.namespace(parcels).sockets.values()) socket.onAny(() => call(++count));
}

/** What the log has, in order. */
const cities = async ({ log }: TestHub) =>
  (await log.read({ after: 0 })).events.map(({ data }) => JSON.parse(data).customer.city);

describe("the log has what a satellite says in the order in which it said it, also when the hub", () => {
  it("has no room in its queue for something of it, but for what comes behind that", async () => {
    await using hub = await startHub({ contracts: [parcels], limits: { queueBytes: 300 } });
    await using vendor = await connected(hub.url);
    const log = guard(hub);
    let messages = 0;
    onMessage(hub, (count) => {
      messages = count;
    });
    const said = [say(vendor, ["first"])];
    await until(() => log.commits === 1);
    for (const [city, bytes] of [["small"], ["large", 200], ["next"]] as const) {
      said.push(say(vendor, [city], bytes));
      await turn(); // the next one is sent before the answer to this one can have come
    }
    await until(() => messages === 4);
    log.open();
    await Promise.all(said);
    expect(await cities(hub)).toEqual(["first", "small", "large", "next"]);
    expect(messages).toBeGreaterThan(4); // something was refused
  });

  it("has no room on disk for something of it, but for what waits behind that, and comes behind that", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using vendor = await connected(hub.url);
    const log = guard(hub, 2);
    let messages = 0;
    onMessage(hub, (count) => {
      messages = count;
    });
    const said = [say(vendor, ["a", "b", "c"])];
    await until(() => log.commits === 1);
    said.push(say(vendor, ["d"]));
    await until(() => messages === 2);
    log.open();
    said.push(say(vendor, ["e"]));
    await until(() => log.refusals > 1);
    log.room = Number.POSITIVE_INFINITY;
    await Promise.all(said);
    expect(await cities(hub)).toEqual(["a", "b", "c", "d", "e"]);
  });

  it("has refused more of it than the satellite has heard of yet", async () => {
    await using hub = await startHub({ contracts: [parcels], limits: { queueBytes: 300 } });
    await using proxy = await FlakyProxy.before(hub.url);
    await using vendor = await connected(proxy.url);
    const log = guard(hub);
    const said = [say(vendor, ["first"])];
    await until(() => log.commits === 1);
    said.push(say(vendor, ["small"]));
    onMessage(hub, (count) => {
      // Sent before the refusal of the one before can have come; the refusal of this one comes after the satellite's rest.
      if (count === 2) said.push(say(vendor, ["next"]));
      if (count === 3) {
        proxy.stall(700);
        said.push(say(vendor, ["last"]));
        log.open();
      }
    });
    await turn();
    said.push(say(vendor, ["large"], 200));
    await until(() => said.length === 5);
    await Promise.all(said);
    expect(await cities(hub)).toEqual(["first", "small", "large", "next", "last"]);
  });
});
