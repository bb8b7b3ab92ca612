import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { type Contract, errorBody } from "@orrery/contracts";
import { z } from "zod";
import { createHub } from "../src/index.ts";
import { startHub } from "../src/testing.ts";
import { PlainClient } from "./clients.ts";
import { forgetfulLog } from "./forgetful-log.ts";
import { connect, contracts, host, house } from "./house.ts";

const listen = (server: Server, address: string) =>
  new Promise<number>((resolve) => {
    server.listen(0, address, () => resolve((server.address() as AddressInfo).port));
  });

describe("a hub on an existing server", () => {
  it("serves beside the server's own pages, and leaves it running when it closes", async () => {
    const server = createServer((_request, response) =>
      response.setHeader("connection", "close").end("a page"),
    );
    const hub = createHub({ contracts, log: forgetfulLog(), server });
    const url = `http://127.0.0.1:${await listen(server, "127.0.0.1")}`;
    await using client = await connect({ url }, host, { reconnection: false });
    expect(await client.say("said", { id: "a" })).toMatchObject({ ok: true });
    const dropped = client.next("disconnect");
    await hub.close();
    await dropped;
    expect(await (await fetch(url)).text()).toBe("a page");
    const late = await fetch(`${url}/socket.io/?EIO=4&transport=polling`, {
      headers: { connection: "close" },
    });
    const error = errorBody("HUB_CLOSING");
    expect([late.status, await late.json()]).toEqual([503, { code: 4, message: "HUB_CLOSING", error }]);
    await new Promise((resolve) => server.close(resolve));
  });

  it("lends its typed namespace to the application around it", async () => {
    const server = createServer();
    const hub = createHub({ contracts, log: forgetfulLog(), server });
    const joined = new Promise<string>((resolve) => {
      hub.namespace(house).on("connection", (socket) => {
        socket.on("said", ({ id }) => resolve(id));
      });
    });
    const url = `http://127.0.0.1:${await listen(server, "127.0.0.1")}`;
    await using client = await connect({ url }, host);
    await client.say("said", { id: "a" });
    expect(await joined).toBe("a");
    expect(() => hub.namespace({ ...house, name: "other" })).toThrow(/no contract/);
    client.socket.disconnect();
    await hub.close();
    await new Promise((resolve) => server.close(resolve));
  });

  it("refuses, without a key, whoever reaches it by another address than loopback", async () => {
    const outside = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
    const address = outside.find(({ internal, family }) => !internal && family === "IPv4")?.address;
    if (address === undefined) return; // a machine without a network has no such address
    const server = createServer();
    const hub = createHub({ contracts, log: forgetfulLog(), server });
    const port = await listen(server, address);
    const answer = await fetch(`http://${address}:${port}/socket.io/?EIO=4&transport=polling`, {
      headers: { connection: "close" },
    });
    expect([answer.status, await answer.json()]).toEqual([
      403,
      {
        code: 4,
        message: "OPEN_MODE_NOT_LOOPBACK",
        error: errorBody("OPEN_MODE_NOT_LOOPBACK"),
      },
    ]);
    await hub.close();
    await new Promise((resolve) => server.close(resolve));
  });
});

describe("a hub refuses to start", () => {
  const code = (value: string) => expect.objectContaining({ code: value });

  it.each(["0.0.0.0", "::", "192.168.1.7", "example.org"])("without a key on %s", async (address) => {
    const hub = createHub({ contracts, log: forgetfulLog() });
    await expect(hub.listen({ host: address, port: 0 })).rejects.toEqual(code("OPEN_MODE_NOT_LOOPBACK"));
    await hub.close();
  });

  it("on a port that is taken", async () => {
    await using other = await startHub({ contracts });
    const hub = createHub({ contracts, log: forgetfulLog() });
    const port = Number(new URL(other.url).port);
    await expect(hub.listen({ port })).rejects.toMatchObject({ code: "EADDRINUSE" });
    await hub.close();
  });

  it("with data that is not plain JSON, or two contracts of one name", () => {
    const events = {
      ...house.events,
      said: { ...house.events.said, data: z.object({ id: z.string(), at: z.date() }) },
    };
    const start =
      (...all: Contract[]) =>
      () =>
        createHub({ contracts: all, log: forgetfulLog() });
    expect(start({ ...house, events })).toThrow(/event "said": the data is not plain JSON/);
    expect(start(house, { ...house })).toThrow(/two contracts are called "house"/);
  });

  it.each<[string, object]>([
    ["no number", { depth: Number.NaN }],
    ["zero", { depth: 0 }],
    ["a fraction", { eventBytes: 1.5 }],
    ["larger than `ws` takes", { messageBytes: 2 ** 31 }],
    ["longer than a timer of two of them takes", { pingIntervalMs: 2 ** 30 }],
    ["more than all", { workPercent: 101 }],
    ["unknown", { colour: 7 }],
  ])("with a limit that is %s", (_what, limits) => {
    expect(() => createHub({ contracts, log: forgetfulLog(), limits })).toThrow(
      code("CONFIG_INVALID") as never,
    );
  });

  it("behind a proxy without a key, since that would open it to all", () => {
    expect(() => createHub({ contracts, log: forgetfulLog(), proxies: 1 })).toThrow(
      code("CONFIG_INVALID") as never,
    );
  });
});

it("several contracts live on one hub and one log, and hear nothing of each other", async () => {
  const garden = { ...house, name: "garden" };
  await using hub = await startHub({ contracts: [house, garden] });
  await using inside = await connect(hub, host);
  await using outside = await new PlainClient(`${hub.url}/garden`, host).connected();
  expect(await inside.say("said", { id: "a" }, { id: "1" })).toMatchObject({ ok: true, offset: 1 });
  expect(await outside.say("said", { id: "b" }, { id: "1" })).toEqual({ ok: true, id: "1", offset: 2 });
  await outside.say("said", { id: "end" });
  await inside.say("said", { id: "end" });
  expect((await inside.take(2)).map(({ data }) => data.id)).toEqual(["a", "end"]);
  expect((await outside.take(2)).map(({ data }) => data.id)).toEqual(["b", "end"]);
});
