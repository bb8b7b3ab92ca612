import type { Delivery, DeliveryReply } from "@orrery/contracts";
import { startHub, type TestHub } from "../src/testing.ts";
import { answersOf } from "../src/unanswered.ts";
import { PlainClient } from "./clients.ts";
import { connect, contracts, host } from "./house.ts";
import { hubEndOf } from "./stall.ts";

const limits = {
  requestsPerSecond: 100_000,
  requestsAtOnce: 100_000,
  requestsPerSecondPerSatellite: 100_000,
};
const start = () => startHub({ contracts, limits });

type Answer = (reply: DeliveryReply) => void;

/** Follows by hand, and answers what the test answers. */
class Follower extends PlainClient {
  readonly #deliveries: [Delivery, Answer][] = [];
  #wake: () => void = () => undefined;

  constructor({ url }: TestHub) {
    super(`${url}/house`, { role: "guest", id: "g", protocol: 1 });
    this.socket.on("hub:deliver", (delivery: Delivery, answer: Answer) => {
      this.#deliveries.push([delivery, answer]);
      this.#wake();
    });
  }

  async ask(message: string, request: object) {
    const reply = await this.socket.emitWithAck(message, request);
    expect(reply).toMatchObject({ ok: true });
    return reply;
  }

  async delivered(): Promise<[Delivery, Answer]> {
    while (this.#deliveries.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#deliveries.shift() as [Delivery, Answer];
  }

  /** Follows from the start, and answers nothing of it. */
  async follow(as: string): Promise<Answer> {
    await this.ask("hub:follow", { as, events: ["said"], from: "start" });
    return (await this.delivered())[1];
  }

  async status() {
    return (await this.ask("hub:followers", {})).followers[0];
  }
}

async function followerOf(hub: TestHub): Promise<Follower> {
  await using speaker = await connect(hub, host);
  await speaker.say("said", { id: "a" });
  return new Follower(hub).connected();
}

/** How many answers the hub waits for, over all of a satellite's deliveries. */
const awaited = (hub: TestHub) => answersOf(hubEndOf(hub, "g")).size;

describe("the hub waits for no answer of a follower", () => {
  it("to what was delivered before it followed again, and the answer to what came since counts", async () => {
    await using hub = await start();
    await using follower = await followerOf(hub);
    const early = await follower.follow("f");
    for (let again = 0; again < 20; again += 1) await follower.follow("f");
    expect(awaited(hub)).toBe(1);
    const answer = await follower.follow("f");
    early({});
    expect(await follower.status()).toMatchObject({ lag: 1 });
    answer({});
    expect(await follower.status()).toMatchObject({ lag: 0 });
    expect(awaited(hub)).toBe(0);
  });

  it.each(["hub:unfollow", "hub:forget"])("that has ended with %s", async (message) => {
    await using hub = await start();
    await using follower = await followerOf(hub);
    for (let again = 0; again < 20; again += 1) {
      await follower.follow(`f${again}`);
      await follower.ask(message, { as: `f${again}` });
    }
    expect(awaited(hub)).toBe(0);
  });

  it("whose name another connection has taken over", async () => {
    await using hub = await start();
    await using one = await followerOf(hub);
    await one.follow("f");
    const oneEnd = hubEndOf(hub, "g");
    await using two = await new Follower(hub).connected();
    await two.follow("f");
    expect(answersOf(oneEnd).size).toBe(0);
  });

  it("to an event that was redriven, where it is redriven again", async () => {
    await using hub = await start();
    await using follower = await followerOf(hub);
    const park = await follower.follow("f");
    park({ parked: [{ offset: 1, attempts: 1, error: "no" }] });
    while ((await follower.status()).parked === 0);
    const redrive = async () => {
      await follower.ask("hub:redrive", { as: "f", offset: 1 });
      return (await follower.delivered())[1];
    };
    const early = await redrive();
    for (let again = 0; again < 20; again += 1) await redrive();
    expect(awaited(hub)).toBe(1);
    const answer = await redrive();
    early({});
    expect(await follower.status()).toMatchObject({ parked: 1 });
    answer({});
    expect(await follower.status()).toMatchObject({ parked: 0 });
  });
});
