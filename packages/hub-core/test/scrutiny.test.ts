import { startHub, type TestHub } from "../src/testing.ts";
import { atWork } from "./at-work.ts";
import { type PlainClient, refusal } from "./clients.ts";
import { connect, contracts, host } from "./house.ts";

const limits = { eventValues: 100, resendMs: 60_000 };
const batched = { ...host, protocol: 1, events: [] };
const say = ({ socket }: PlainClient, ...entries: readonly unknown[]) =>
  socket.emitWithAck("hub:emit", entries);
const right = (id: string) => ["said", { id }, { id }];
/** With so many values: the data itself, and its properties. */
const wrong = (id: string, values: number) => [
  "said",
  Object.fromEntries(Array.from({ length: values - 1 }, (_, n) => [`unknown-${n}`, n])),
  { id },
];
const limited = { ok: false, error: { code: "RATE_LIMITED", retryable: true, retryAfterMs: 500 } };
const kept = async ({ log }: TestHub) => (await log.read({ after: 0 })).events.map(({ id }) => id);

it("an event with too many values is refused; one with as many as it may have is not", async () => {
  await using hub = await startHub({ contracts, limits });
  await using client = await connect(hub, host);
  const list = (length: number) => ({ value: Array(length).fill(0) });
  expect(await client.say("free", list(98))).toMatchObject({ ok: true }); // with the list, and the data itself
  expect(await client.say("free", list(99))).toEqual(refusal("DATA_TOO_WIDE"));
  const object = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`${n}`, {}]));
  expect(await client.say("free", { value: { ...object, list: list(50) } })).toEqual(
    refusal("DATA_TOO_WIDE"),
  );
});

it("of data in which nothing is right most is not looked at", async () => {
  await using hub = await startHub({ contracts });
  await using client = await connect(hub, batched);
  const { receipts } = await say(client, ...Array.from({ length: 15 }, (_, n) => wrong(`${n}`, 900)));
  const codes = receipts.map(({ error }: { readonly error: { readonly code: string } }) => error.code);
  expect(codes).toEqual([...Array(11).fill("DATA_INVALID"), ...Array(4).fill("RATE_LIMITED")]);
});

describe("what is behind too much that does not fit, in one message,", () => {
  it("is refused for now, and not overtaken", async () => {
    await using hub = await startHub({ contracts, limits });
    await using client = await connect(hub, batched);
    const { receipts } = await say(
      client,
      wrong("1", 60),
      right("a"),
      wrong("2", 41),
      right("b"),
      right("c"),
    );
    expect(receipts).toMatchObject([
      refusal("DATA_INVALID"),
      { ok: true },
      limited, // it would be 101
      limited,
      limited,
    ]);
    expect(await say(client, right("d"))).toMatchObject({ ok: false, error: { code: "RATE_LIMITED" } });
    expect(await say(client, wrong("2", 41), right("b"), right("c"))).toMatchObject({
      receipts: [refusal("DATA_INVALID"), { ok: true }, { ok: true }],
    });
    expect(await say(client, right("d"))).toMatchObject({ receipts: [{ ok: true }] });
    expect(await kept(hub)).toEqual(["a", "b", "c", "d"]);
  });

  it("is refused for now where it is to come of claims, which are held as before", async () => {
    await using hub = await startHub({ contracts, limits });
    const { worker, claims } = await atWork(hub, 3);
    const [first, second, third] = claims.map(({ offset, token }) => ({ offset, token, outcome: "done" }));
    const settle = (settles: readonly unknown[]) =>
      worker.socket.emitWithAck("hub:settle", { group: "g", settles });
    const { replies } = await settle([
      { ...first, events: [wrong("1", 60)] },
      { ...second, events: [wrong("2", 60)] },
      { ...third, events: [right("c")] },
    ]);
    expect(replies).toMatchObject([refusal("DATA_INVALID"), limited, limited]);
    expect(
      await settle([
        { ...second, events: [right("b")] },
        { ...third, events: [right("c")] },
      ]),
    ).toMatchObject({ replies: [{ ok: true }, { ok: true }] });
    await worker[Symbol.asyncDispose]();
  });
});
