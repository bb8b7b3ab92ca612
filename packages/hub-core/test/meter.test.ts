import { EventEmitter } from "node:events";
import type { Connection } from "../src/connection.ts";
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
