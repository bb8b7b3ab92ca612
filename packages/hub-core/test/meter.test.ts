import { EventEmitter } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { type Connection, pieceBytes } from "../src/connection.ts";
import { defaultLimits } from "../src/limits.ts";
import { silentLogger } from "../src/logger.ts";
import { Meter } from "../src/meter.ts";
import { Tally } from "../src/tally.ts";

/** One that polls: nothing of it has to be paused. */
const polling = () =>
  Object.assign(new EventEmitter(), {
    id: "polling",
    readyState: "open",
    transport: { name: "polling" },
    writeBuffer: [],
  }) as never as Connection;

it.each(Array.from({ length: 12 }, (_, place) => place + 1))(
  "a connection that was stopped may go on, also where its time is over between two looks at the clock: after look %i",
  async (reading) => {
    let looks = 0;
    const stopMs = 10;
    const limits = { ...defaultLimits, eventsPerSecond: 500, eventsAtOnce: 1 };
    // It stands still, and is past the stop from one look on.
    const meter = new Meter(limits, silentLogger, new Tally(), () => (looks++ < reading ? 0 : 100 * stopMs));
    const connection = polling();
    meter.posted(connection);
    await meter.whenFree(connection);
    expect(meter.isHeld(connection)).toBe(false);
  },
);

/** A WebSocket's end at the hub: how many bytes were handed on, each time for so long. */
function listening(id: string, workMs = 0) {
  let handedOn = 0;
  const receiver = {
    writable: true,
    write({ length }: Buffer) {
      handedOn += length;
      const beganMs = performance.now();
      while (performance.now() - beganMs < workMs);
      return true;
    },
  };
  const socket = Object.assign(new EventEmitter(), {
    isPaused: false,
    pause(): void {
      this.isPaused = true;
    },
    resume(): void {
      this.isPaused = false;
    },
    _socket: { pause: () => undefined, unshift: () => undefined },
    _receiver: receiver,
  });
  const connection = Object.assign(new EventEmitter(), {
    id,
    readyState: "open",
    transport: { name: "websocket", socket },
    writeBuffer: [],
  }) as never as Connection;
  return {
    connection,
    gone(): void {
      Object.assign(connection, { readyState: "closed" });
      connection.emit("close", "");
    },
    /** Whether what has come is handed on. */
    brings(bytes: number): boolean {
      const before = handedOn;
      receiver.write(Buffer.alloc(bytes));
      return handedOn > before;
    },
  };
}

it("connections of one address that have not joined have one rate together, and others theirs", () => {
  const limits = { ...defaultLimits, bytesPerSecondPerSatellite: 1_000, bytesAtOnce: 1_000 };
  const meter = new Meter(limits, silentLogger, new Tally(), () => 0);
  const all = [listening("a"), listening("b"), listening("c")] as const;
  const [first, second, elsewhere] = all;
  meter.watch(first.connection, "198.51.100.1");
  meter.watch(second.connection, "198.51.100.1");
  meter.watch(elsewhere.connection, "198.51.100.2");
  first.brings(1_001);
  for (const each of [second, elsewhere]) each.brings(10);
  expect(all.map(({ connection }) => meter.isHeld(connection))).toEqual([true, true, false]);
  for (const each of all) each.gone();
});

it("several connections of a satellite that have had their share wait for it no more when nobody else says anything", async () => {
  let nowMs = 0;
  const inside = new Tally();
  const meter = new Meter(defaultLimits, silentLogger, inside, () => nowMs);
  const [busy, other] = [listening("busy", 20), listening("other")];
  meter.watch(busy.connection, "busy");
  meter.watch(other.connection, "other");
  for (let count = 0; count < 2; count += 1) inside.add("busy");
  expect(other.brings(10)).toBe(true);
  expect(busy.brings(2 * pieceBytes)).toBe(true); // and more of it waits
  await turn();
  const waited = true; // for its turn: it is read once
  expect([1, 2, 3].map(() => busy.brings(10))).toEqual([waited, false, waited]);
  nowMs = 150; // its share comes back later
  expect(busy.brings(10)).toBe(true);
  for (const each of [busy, other]) each.gone();
});
