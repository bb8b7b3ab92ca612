import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { Lines, runMain } from "@orrery/process/testing";
import { connect } from "@orrery/satellite";
import { printWho, whoLines } from "../src/who.ts";

const main = new URL("../src/main.ts", import.meta.url);

describe("who is connected", () => {
  it("is printed by the process, a line for each satellite, and then it ends", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    const driver = connect(parcels, { url: hub.url, role: "driver", id: "d1" });
    await driver.ready();
    await using logger = runMain(main, { HUB_URL: hub.url, LOGGER_WHO: "all" });
    expect(await logger.ended).toBe(0);
    const time = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g;
    expect(logger.lines.all.map((line) => line.replace(time, "<time>"))).toEqual([
      `Who is connected to the hub at ${hub.url}`,
      "driver:d1     since <time>",
      "logger:logger since <time>",
    ]);
    await driver.close();
  });

  it("is printed of one role alone, also where there is nobody", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    const lines = new Lines();
    const print = lines.print;
    const { signal } = new AbortController();
    await printWho({
      hubUrl: hub.url,
      credentials: { role: "logger", id: "l" },
      role: "driver",
      print,
      signal,
    });
    expect(lines.all.slice(1)).toEqual(["No driver."]);
  });

  it("has a word on what is not as it mostly is", () => {
    const satellite = {
      role: "driver",
      since: "2026-01-02T03:04:05.678Z",
      rooms: [],
      connections: 1,
      lag: 0,
    };
    const own = ["driver:d2", "satellite:d2", "vendor:acme"];
    expect(
      whoLines([
        { ...satellite, satellite: "driver:d1", id: "d1", connections: 0, lag: 17 },
        { ...satellite, satellite: "driver:d2", id: "d2", connections: 2, rooms: own },
        { ...satellite, satellite: "driver:d3", id: "d3", rooms: ["vendor:acme"], roomCount: 102 },
      ]),
    ).toEqual([
      "driver:d1 since 2026-01-02 03:04:05, lost just now, 17 behind",
      "driver:d2 since 2026-01-02 03:04:05, 2 connections, in vendor:acme",
      "driver:d3 since 2026-01-02 03:04:05, in vendor:acme, of 102 rooms",
    ]);
  });

  it("is not waited for when the process is told to end", async () => {
    await using logger = runMain(main, { HUB_URL: "http://127.0.0.1:9", LOGGER_WHO: "driver" });
    await logger.lines.seen(/^Who is connected/);
    logger.send("SIGTERM");
    expect(await logger.ended).toBe(0);
  });
});
