import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OrreryError } from "@orrery/contracts";
import { type EventLog, openSqliteLog } from "@orrery/event-log";
import { createHub } from "../src/index.ts";
import { PlainClient, refusal } from "./clients.ts";
import { contracts } from "./house.ts";

/** A hub whose log fails in what `failing` names. */
async function startFailing() {
  const directory = await mkdtemp(join(tmpdir(), "orrery-"));
  const real = await openSqliteLog({ file: join(directory, "events.db") });
  const failing = new Set<keyof EventLog>();
  const log = new Proxy(real, {
    get(target, name) {
      if (failing.has(name as keyof EventLog)) return () => Promise.reject(new OrreryError("LOG_FAILED"));
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return {
    failing,
    log,
    async [Symbol.asyncDispose]() {
      await real.close();
      await rm(directory, { recursive: true });
    },
  };
}

const open = (log: EventLog) => {
  const hub = createHub({ contracts, log });
  return Object.assign(hub, { [Symbol.asyncDispose]: () => hub.close() });
};

const satellite = (url: string, role: string, id: string) =>
  new PlainClient(`${url}/house`, { role, id, protocol: 1 }).connected();

describe("a log that fails", () => {
  it("to tell once who follows and works does not shut them out", async () => {
    await using at = await startFailing();
    at.failing.add("records");
    await using hub = open(at.log);
    const url = await hub.listen({ port: 0 });
    await using guest = await satellite(url, "guest", "g");
    const follow = () => guest.socket.emitWithAck("hub:follow", { as: "f", events: ["said"] });
    const work = () => guest.socket.emitWithAck("hub:work", { group: "g", events: ["said"], capacity: 1 });
    expect(await follow()).toEqual(refusal("LOG_FAILED"));
    expect(await work()).toEqual(refusal("LOG_FAILED"));
    at.failing.clear();
    expect(await follow()).toMatchObject({ ok: true });
    expect(await work()).toMatchObject({ ok: true });
  });

  it("when a group is to be forgotten leaves it as it was, and it goes on", async () => {
    await using at = await startFailing();
    await using hub = open(at.log);
    const url = await hub.listen({ port: 0 });
    await using host = await satellite(url, "host", "h");
    const work = { group: "g", events: ["said"], capacity: 1 };
    expect(await host.socket.emitWithAck("hub:work", work)).toMatchObject({ ok: true });
    at.failing.add("append");
    const forget = () => host.socket.emitWithAck("hub:forget", { group: "g" });
    expect(await forget()).toEqual(refusal("LOG_FAILED"));
    at.failing.clear();
    const claimed = host.next("hub:claims");
    await host.say("said", { id: "a" });
    expect(await claimed).toMatchObject({ group: "g", claims: [{ offset: 1 }] });
    expect(await Promise.all([forget(), forget()])).toEqual([{ ok: true }, { ok: true }]);
    expect(await forget()).toEqual(refusal("GROUP_UNKNOWN"));
    expect([...(await at.log.records("")).keys()]).toEqual([]);
  });

  it("when a follower is to be forgotten leaves it as it was, and who follows is told to do so again", async () => {
    await using at = await startFailing();
    await using hub = open(at.log);
    const url = await hub.listen({ port: 0 });
    await using guest = await satellite(url, "guest", "g");
    const follow = () => guest.socket.emitWithAck("hub:follow", { as: "f", events: ["said"] });
    const forget = () => guest.socket.emitWithAck("hub:forget", { as: "f" });
    expect(await follow()).toMatchObject({ ok: true });
    const ended = guest.next("hub:unfollowed");
    at.failing.add("append");
    expect(await forget()).toEqual(refusal("LOG_FAILED"));
    expect(await ended).toMatchObject({ as: "f", error: { code: "LOG_FAILED", retryable: true } });
    at.failing.clear();
    expect(await follow()).toMatchObject({ ok: true });
    const delivered = guest.next("hub:deliver");
    expect(await guest.say("hub:emit", [["said", { id: "a" }]])).toMatchObject({ ok: true });
    expect(await delivered).toMatchObject({ as: "f" });
    expect(await Promise.all([forget(), forget()])).toEqual([{ ok: true }, { ok: true }]);
    expect(await forget()).toEqual(refusal("FOLLOWER_UNKNOWN"));
    expect([...(await at.log.records("")).keys()]).toEqual([]);
  });

  it("when a redriven event was handled ends that following for now, and nothing else", async () => {
    await using at = await startFailing();
    await using hub = open(at.log);
    const url = await hub.listen({ port: 0 });
    await using host = await satellite(url, "host", "h");
    await using guest = await satellite(url, "guest", "g");
    expect(await host.say("said", { id: "a" })).toMatchObject({ ok: true });
    const delivered = () =>
      new Promise<(reply: object) => void>((resolve) => {
        guest.socket.once("hub:deliver", (_events: unknown, answer: (reply: object) => void) =>
          resolve(answer),
        );
      });
    const first = delivered();
    await guest.socket.emitWithAck("hub:follow", { as: "f", events: ["said"], from: "start" });
    (await first)({ parked: [{ offset: 1, attempts: 5, error: "no" }] });
    const parked = async () =>
      (await guest.socket.emitWithAck("hub:parked", { as: "f" })).parked.length as number;
    while ((await parked()) === 0);
    const second = delivered();
    expect(await guest.socket.emitWithAck("hub:redrive", { as: "f", offset: 1 })).toEqual({ ok: true });
    const answer = await second;
    const ended = new Promise<unknown>((resolve) => guest.socket.once("hub:unfollowed", resolve));
    at.failing.add("append");
    answer({});
    expect(await ended).toMatchObject({ as: "f", error: { code: "LOG_FAILED", retryable: true } });
    at.failing.clear();
    expect(await host.say("said", { id: "b" })).toMatchObject({ ok: true });
  });
});

it("a new group with a cursor of another log is told of the gap before its first claims", async () => {
  await using at = await startFailing();
  await using hub = open(at.log);
  const url = await hub.listen({ port: 0 });
  await using host = await satellite(url, "host", "h");
  await using guest = await satellite(url, "guest", "g");
  await host.say("said", { id: "a" });
  const heard: unknown[] = [];
  const claims = new Promise<void>((resolve) => {
    guest.socket.once("hub:claims", () => {
      heard.push("claims");
      resolve();
    });
  });
  guest.socket.on("hub:gap", (gap: unknown) => heard.push(gap));
  const request = { group: "g", events: ["said"], capacity: 1, from: "other:5" };
  expect(await guest.socket.emitWithAck("hub:work", request)).toMatchObject({ ok: true });
  await claims;
  const until = `${at.log.epoch}:0`;
  expect(heard).toEqual([{ reason: "epoch", after: "other:5", until, group: "g" }, "claims"]);
});
