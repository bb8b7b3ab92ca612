import { once } from "node:events";
import type { Server } from "node:http";
import { type AddressInfo, createConnection } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { Door } from "../src/door.ts";
import { defaultLimits } from "../src/limits.ts";
import { ownServer } from "../src/own-server.ts";

async function start() {
  const server = ownServer(defaultLimits, undefined, new Door(defaultLimits)) as Server;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const dial = () => createConnection(port, "127.0.0.1").on("error", () => undefined);
  return {
    server,
    dial,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const count = 50;
const request = "GET / HTTP/1.1\r\nHost: hub\r\n\r\n";

it("of a crowd that connects at once one is served in a turn of the event loop", async () => {
  await using hub = await start();
  let [inTurn, most, total] = [0, 0, 0];
  hub.server.on("request", () => {
    if (inTurn === 0) setImmediate(() => (inTurn = 0));
    inTurn += 1;
    total += 1;
    most = Math.max(most, inTurn);
  });
  const sockets = Array.from({ length: count }, () => hub.dial());
  for (const socket of sockets) socket.write(request);
  // All of it is there before the server looks.
  while (total < count) await turn();
  expect(most).toBeLessThan(6);
  for (const socket of sockets) socket.destroy();
});

it("a crowd whose connections are reset while they wait does no harm", async () => {
  await using hub = await start();
  const closes: Promise<unknown>[] = [];
  hub.server.prependListener("connection", (socket) => closes.push(once(socket, "close").catch(() => 0)));
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = hub.dial();
      await once(socket, "connect");
      return socket;
    }),
  );
  for (const socket of sockets) socket.resetAndDestroy();
  while (closes.length < count) await turn();
  await Promise.all(closes);
  const socket = hub.dial();
  socket.write(request);
  const [answer] = await once(socket, "data");
  expect(String(answer)).toMatch(/^HTTP\/1.1 404 /);
  socket.destroy();
});
