import { setImmediate as turn } from "node:timers/promises";
import type { Claim, Delivery, Gap, Receipt } from "@orrery/contracts";
import { startHub, type TestHub } from "../src/testing.ts";
import { PlainClient } from "./clients.ts";
import { contracts } from "./house.ts";
import { named, range } from "./numbers.ts";

const text = "x".repeat(1_000);
/** The log holds some hundred of the notes below. */
const retention = { bytes: 300_000 };

/** A client that also remembers of which events it was told that they are missing, in the order in which it was told. */
class Client extends PlainClient {
  readonly gaps: Gap[] = [];
  readonly told: string[] = [];

  constructor(hub: TestHub, id: string) {
    super(`${hub.url}/house`, { role: "host", id, protocol: 1 });
    this.socket.on("hub:gap", (gap: Gap) => {
      this.gaps.push(gap);
      this.told.push("gap");
    });
    this.socket.on("hub:events", (entries: unknown[]) => void this.told.push(...entries.map(() => "event")));
    this.socket.on("hub:deliver", ({ events }: Delivery, ack: (reply: object) => void) => {
      for (const [event, data, meta] of events) {
        this.heard.push({ event, data: data as Record<string, unknown>, meta });
        this.told.push("event");
      }
      ack({});
    });
  }

  get offsets(): readonly number[] {
    return this.heard.map(({ meta }) => meta.offset as number);
  }

  ask(message: "hub:listen" | "hub:follow", request: object) {
    return this.socket.emitWithAck(message, request);
  }

  async hears(offset: number): Promise<void> {
    while (this.offsets.at(-1) !== offset) await turn();
  }
}

const connect = (hub: TestHub, id = "h") => new Client(hub, id).connected();

/** Says notes in batches; their receipts. */
async function speak(client: PlainClient, ids: readonly string[]): Promise<Receipt[]> {
  const receipts: Receipt[] = [];
  for (let start = 0; start < ids.length; start += 50) {
    const entries = ids.slice(start, start + 50).map((id) => ["said", { id, text }, { id }]);
    receipts.push(...(await client.socket.emitWithAck("hub:emit", entries)).receipts);
  }
  return receipts;
}

/** Floods the log until its retention has gone beyond the offset and has nothing more to do. Returns how far it has come. */
async function overtake(hub: TestHub, offset: number): Promise<number> {
  await using speaker = await connect(hub, "flood");
  const takenThrough = async () => (await hub.log.read({ after: hub.log.head - 1 })).takenThrough;
  await speak(speaker, named("flood", 3_000));
  while ((await takenThrough()) <= offset) await turn();
  // Behind each commit the log takes one step, so one that is due is done when the second commit is answered.
  const commit = () => hub.log.append([], [{ name: "nothing", value: "" }]);
  for (let before = -1; before !== (await takenThrough()); ) {
    before = await takenThrough();
    await commit();
    await commit();
  }
  return takenThrough();
}

describe("whoever was overtaken by the retention is told exactly which events are missing, and gets all others:", () => {
  it("a listener that resumes", async () => {
    await using hub = await startHub({ contracts, log: { retention } });
    await using speaker = await connect(hub);
    await speak(speaker, named("a", 5));
    const taken = await overtake(hub, 1_500);
    await using late = await connect(hub, "late");
    await late.ask("hub:listen", { events: ["said"], after: `${hub.log.epoch}:5` });
    const { head, epoch } = hub.log;
    await late.hears(head);
    expect(late.gaps).toEqual([{ reason: "retention", after: `${epoch}:5`, until: `${epoch}:${taken}` }]);
    expect(late.offsets).toEqual(range(taken, head));
    expect(late.told[0]).toBe("gap");
    await speak(speaker, ["end"]);
    await late.hears(head + 1);
    expect(late.gaps).toHaveLength(1);
  });

  it("a follower", async () => {
    await using hub = await startHub({ contracts, log: { retention } });
    await using speaker = await connect(hub);
    await speak(speaker, named("a", 5));
    {
      await using first = await connect(hub, "f");
      await first.ask("hub:follow", { as: "one", events: ["said"], from: "start" });
      await first.hears(5);
      while ((await first.socket.emitWithAck("hub:followers", {})).followers[0].lag > 0) await turn();
    }
    const taken = await overtake(hub, 1_500);
    await using second = await connect(hub, "f");
    const { head, epoch } = hub.log;
    const reply = await second.ask("hub:follow", { as: "one", events: ["said"] });
    expect(reply).toEqual({ ok: true, cursor: `${epoch}:5` });
    await second.hears(head);
    expect(second.gaps).toEqual([
      { reason: "retention", after: `${epoch}:5`, until: `${epoch}:${taken}`, as: "one" },
    ]);
    expect(second.offsets).toEqual(range(taken, head));
    expect(second.told[0]).toBe("gap");
  });

  it.each(["hub:listen", "hub:follow"] as const)(
    "with %s while the log is flooded and taken from at full speed",
    async (message) => {
      await using hub = await startHub({ contracts, log: { retention }, limits: { tailBytes: 50_000 } });
      await using speaker = await connect(hub);
      await using late = await connect(hub, "late");
      const flooding = speak(speaker, named("a", 6_000));
      while (hub.log.head < 2_000) await turn();
      const request =
        message === "hub:listen"
          ? { after: `${hub.log.epoch}:100` }
          : { as: "one", from: `${hub.log.epoch}:100` };
      await late.ask(message, { events: ["said"], ...request });
      await flooding;
      await late.hears(6_000);
      const missing = late.gaps.flatMap(({ after, until }) =>
        range(Number(after.split(":")[1]), Number(until.split(":")[1])),
      );
      expect(late.gaps.map(({ reason }) => reason)).toContain("retention");
      expect([...missing, ...late.offsets].sort((a, b) => a - b)).toEqual(range(100, 6_000));
      expect(late.offsets).toEqual([...late.offsets].sort((a, b) => a - b));
    },
  );

  it("a group that had passed over events of a key", async () => {
    await using hub = await startHub({ contracts, log: { retention }, limits: { keyWaiting: 1 } });
    await using speaker = await connect(hub);
    for (const _ of range(0, 3)) await speaker.say("said", { id: "hot" });
    await using worker = await connect(hub, "w");
    const claims: Claim[] = [];
    worker.socket.on("hub:claims", (packet) => void claims.push(...packet.claims));
    const work = { group: "g", events: ["said"], from: "start", capacity: 2 };
    await worker.socket.emitWithAck("hub:work", work);
    const taken = await overtake(hub, 1_500);
    while (claims.length < 2) await turn();
    expect(claims.map(({ offset }) => offset)).toEqual([1, 4]); // it has room for no more
    for (let count = 0; worker.gaps.length === 0; count += 1) {
      while (claims.length <= count) await turn();
      const { offset, token } = claims[count] as Claim;
      const settles = [{ offset, token, outcome: "done" }];
      await worker.socket.emitWithAck("hub:settle", { group: "g", settles });
    }
    const { epoch } = hub.log;
    const gap = { reason: "retention", after: `${epoch}:1`, until: `${epoch}:${taken}`, group: "g" };
    expect(worker.gaps[0]).toEqual(gap);
  });

  it("the last values per key are not among the missing", async () => {
    await using hub = await startHub({ contracts, log: { retention } });
    await using speaker = await connect(hub);
    await speak(speaker, named("a", 5));
    await speaker.say("mood", { who: "w", mood: "calm" });
    const taken = await overtake(hub, 1_500);
    await using listener = await connect(hub, "l");
    await using follower = await connect(hub, "f");
    const events = ["said", "mood"];
    await listener.ask("hub:listen", { events, after: "start" });
    await follower.ask("hub:follow", { as: "one", events, from: "start" });
    for (const client of [listener, follower]) {
      await client.hears(hub.log.head);
      expect(client.offsets).toEqual([6, ...range(taken, hub.log.head)]);
    }
  });
});

describe("a cursor of another history", () => {
  it("makes a listener and a new follower begin at the start, and tells them so, and what is missing there", async () => {
    await using hub = await startHub({ contracts, log: { retention } });
    const taken = await overtake(hub, 0);
    const { epoch, head } = hub.log;
    await using listener = await connect(hub, "l");
    await using follower = await connect(hub, "f");
    await listener.ask("hub:listen", { events: ["said"], after: "another:7" });
    await follower.ask("hub:follow", { as: "one", events: ["said"], from: "another:7" });
    for (const [client, as] of [
      [listener, {}],
      [follower, { as: "one" }],
    ] as const) {
      await client.hears(head);
      expect(client.gaps).toEqual([
        { reason: "epoch", after: "another:7", until: `${epoch}:0`, ...as },
        { reason: "retention", after: `${epoch}:0`, until: `${epoch}:${taken}`, ...as },
      ]);
      expect(client.offsets).toEqual(range(taken, head));
    }
  });
});

describe("a full log", () => {
  const fill = async (client: PlainClient) => {
    const acked: string[] = [];
    for (let n = 0; ; n += 1) {
      const receipt = await client.say("said", { id: `${n}`, text }, { id: `${n}` });
      if (!receipt.ok) return { acked, refusal: receipt.error };
      acked.push(`${n}`);
    }
  };
  const keptIds = async (hub: TestHub) =>
    (await hub.log.read({ after: 0, limit: 10_000 })).events.map(({ id }) => id);

  it("refuses events for now, keeps and tells all that it has acked, and takes events again when it may be larger", async () => {
    await using hub = await startHub({ contracts, log: { maxBytes: 300_000 } });
    await using speaker = await connect(hub);
    await using listener = await connect(hub, "l");
    await listener.ask("hub:listen", { events: ["said", "waved"] });
    const { acked, refusal } = await fill(speaker);
    expect(refusal).toMatchObject({ code: "LOG_FULL", retryable: true });
    expect(await keptIds(hub)).toEqual(acked);
    // What is not kept needs no room.
    expect(await speaker.say("waved", { id: "still here" })).toMatchObject({ ok: true });
    expect((await listener.take(acked.length + 1)).map(({ data }) => data.id)).toEqual([
      ...acked,
      "still here",
    ]);

    await hub.stop();
    await hub.start({ maxBytes: 600_000 });
    await using again = await connect(hub);
    expect(await keptIds(hub)).toEqual(acked);
    const refused = `${acked.length}`;
    expect(await again.say("said", { id: refused, text }, { id: refused })).toMatchObject({
      ok: true,
      offset: acked.length + 1,
    });
    expect(await again.say("said", { id: "0", text }, { id: "0" })).toMatchObject({
      offset: 1,
      duplicate: true,
    });
  });

  it("takes events again when its retention has made room", async () => {
    await using hub = await startHub({ contracts, log: { maxBytes: 300_000, retention: { ageMs: 1_000 } } });
    await using speaker = await connect(hub);
    const { refusal } = await fill(speaker);
    expect(refusal).toMatchObject({ code: "LOG_FULL" });
    for (;;) {
      const receipt = await speaker.say("said", { id: "again", text }, { id: "again" });
      if (receipt.ok) break;
      expect(receipt.error.code).toBe("LOG_FULL");
    }
    expect(await keptIds(hub)).toContain("again");
  });

  it("does not take a smaller batch before one of the same connection for which it had no room", async () => {
    const log = { maxBytes: 300_000, retention: { ageMs: 1_000 } };
    await using hub = await startHub({ contracts, log, limits: { resendMs: 60_000 } });
    await using speaker = await connect(hub);
    await using other = await connect(hub, "o");
    const say = async ({ socket }: Client, ...notes: { id: string; text?: string }[]) => {
      const entries = notes.map((note) => ["said", note, { id: note.id }]);
      return (await socket.emitWithAck("hub:emit", entries)).receipts as Receipt[];
    };
    const full = expect.objectContaining({ error: expect.objectContaining({ code: "LOG_FULL" }) });
    const large = "x".repeat(100_000);
    let place = 0;
    let last: Receipt | undefined;
    do [last] = await say(speaker, { id: `${++place}`, text: large });
    while (last?.ok);
    expect(last).toEqual(full);
    // There is room for something smaller, but not from this connection.
    expect(await say(other, { id: "others'" })).toEqual([expect.objectContaining({ ok: true })]);
    expect(await say(speaker, { id: "behind" })).toEqual([full]);
    for (;;) {
      const receipts = await say(speaker, { id: `${place}`, text: large }, { id: "behind" });
      if (receipts.every(({ ok }) => ok)) break;
      expect(receipts).toEqual([full, full]);
    }
    expect((await keptIds(hub)).slice(-2)).toEqual([`${place}`, "behind"]);
  });
});
