import type { Trace } from "../../src/fuzz/cast.ts";
import { checkFuzz, type FuzzEvidence } from "../../src/fuzz/check.ts";
import { mostGrowth } from "../../src/fuzz/memory.ts";
import { attackFaults, Tally } from "../../src/fuzz/tally.ts";

const serials = [1, 2, 3];
const traces: readonly Trace[] = serials.flatMap((serial): Trace[] => [
  { atMs: serial, what: "said", serial },
  { atMs: serial, what: "answered", serial },
  { atMs: serial, what: "acked", serial, offset: serial * 10 },
  { atMs: serial, what: "heard", serial, offset: serial * 10 },
  { atMs: serial, what: "followed", serial, offset: serial * 10 },
]);
/** So many megabytes in each tenth of the run. */
const samples = (...megabytes: readonly number[]) =>
  megabytes.flatMap((one, tenth) =>
    Array.from({ length: 10 }, (_, place) => ({ atMs: tenth * 10 + place, bytes: one * 2 ** 20 })),
  );
const whole: FuzzEvidence = {
  attack: { fromMs: 2, untilMs: 3 },
  hub: {
    end: undefined,
    errors: [],
    noise: [],
    memory: samples(100, 150, 150, 150, 150, 150, 150, 150, 150, 150),
    connections: 0,
  },
  log: {
    fault: undefined,
    takenThrough: 0,
    offsets: [7, 10, 20, 30],
    foreign: [],
    watched: new Map(serials.map((serial) => [serial * 10, serial])),
  },
  traces,
  attackers: new Tally().evidence,
};

/** The faults of a run that differs so from one without faults, with their counts. */
const faults = (changes: Partial<FuzzEvidence>) =>
  Object.fromEntries(
    checkFuzz({ ...whole, ...changes })
      .filter(({ count }) => count > 0)
      .map(({ fault, count }) => [fault, count]),
  );
const without = (what: Trace["what"], serial: number) =>
  traces.filter((trace) => !(trace.what === what && "serial" in trace && trace.serial === serial));

describe("the check finds", () => {
  it("nothing where every promise was kept, and says so for each", () => {
    expect(faults({})).toEqual({});
    expect(checkFuzz(whole).length).toBeGreaterThan(attackFaults.length + 10);
  });

  it("an event of the bystander that was lost on its way to the receipt, the listener or the follower", () => {
    expect(faults({ traces: without("acked", 3) })).toEqual({ "said by the bystander, but not acked": 1 });
    expect(faults({ traces: without("heard", 2) })).toEqual({ "said by the bystander, but not heard": 1 });
    expect(faults({ traces: without("followed", 1) })).toEqual({
      "said by the bystander, but not followed": 1,
    });
  });

  it("a question of the bystander that was not answered", () => {
    expect(faults({ traces: without("answered", 1) })).toEqual({
      "asked by the bystander, but not answered": 1,
    });
  });

  it("one that came twice, or before an earlier one", () => {
    const again: Trace = { atMs: 9, what: "heard", serial: 3, offset: 30 };
    const fault = "heard by the bystander twice, or not in order";
    expect(faults({ traces: [...traces, again] })).toEqual({ [fault]: 1 });
    const [late] = traces.filter((trace) => trace.what === "heard" && trace.serial === 1);
    expect(faults({ traces: [...without("heard", 1), late as Trace] })).toEqual({ [fault]: 1 });
  });

  it("one that was refused, or that a gap told of", () => {
    const more: readonly Trace[] = [
      { atMs: 9, what: "refused", serial: 4, code: "HUB_BUSY" },
      { atMs: 9, what: "gap", reason: "retention" },
    ];
    expect(faults({ traces: [...traces, ...more] })).toEqual({
      "refused to the bystander": 1,
      "gaps told to the bystander": 1,
    });
  });

  it("a connection of the bystander that was lost, but not its start and its end", () => {
    const status = (status: string): Trace => ({ atMs: 9, what: "status", who: "board", status });
    const good = [status("online"), status("closed")];
    expect(faults({ traces: [...traces, ...good] })).toEqual({});
    expect(faults({ traces: [...traces, ...good, status("offline"), status("online")] })).toEqual({
      "connections of the bystander that were lost": 1,
    });
  });

  it("an acked event that the log has not, or at another place, but not one that retention has taken", () => {
    const fault = "acked to the bystander, but not so in the log";
    const watched = new Map([...whole.log.watched].filter(([offset]) => offset !== 10));
    expect(faults({ log: { ...whole.log, watched } })).toEqual({ [fault]: 1 });
    expect(faults({ log: { ...whole.log, watched, takenThrough: 10 } })).toEqual({});
    const swapped = new Map([...whole.log.watched, [10, 2] as const]);
    expect(faults({ log: { ...whole.log, watched: swapped } })).toEqual({ [fault]: 1 });
  });

  it("a log that cannot be read, or not in order", () => {
    expect(faults({ log: { ...whole.log, fault: "no log" } })).toEqual({
      "faults of the log, opened again": 1,
    });
    expect(faults({ log: { ...whole.log, offsets: [10, 20, 20, 30] } })).toEqual({
      "out of order in the log": 1,
    });
  });

  it("what was said in the bystander's name or room, or by whom the contract does not let say it", () => {
    const foreign: Trace = { atMs: 9, what: "foreign", source: "vendor:a0", offset: 40 };
    expect(faults({ traces: [...traces, foreign] })).toEqual({
      "said in the bystander's room, or in its name, but not by it": 1,
    });
    const inLog = [{ offset: 7, event: "pickup", source: "driver:a0" }];
    expect(faults({ log: { ...whole.log, foreign: inLog } })).toEqual({
      "in the log, but not for its source to say": 1,
    });
  });

  it("a hub that ended, or printed what it should not", () => {
    const hub = { ...whole.hub, end: "hub ended by itself: 1", errors: ["{}"], noise: ["(node:1) Warning"] };
    expect(faults({ hub })).toEqual({
      "ends of the hub that nobody asked for": 1,
      "errors in the hub's log": 1,
      "lines of the hub that are not of its log": 1,
    });
  });

  it("connections that the hub has not forgotten, where somebody has looked", () => {
    expect(faults({ hub: { ...whole.hub, connections: 4 } })).toEqual({
      "connections that have gone, and are not forgotten": 4,
    });
    expect(faults({ hub: { ...whole.hub, connections: undefined } })).toEqual({});
  });

  it("memory that grew", () => {
    const more = 150 + mostGrowth / 2 ** 20 + 1;
    const memory = samples(100, 150, 150, 150, 150, 160, 160, 160, more, more);
    expect(faults({ hub: { ...whole.hub, memory } })).toEqual({ "memory that grew": 1 });
  });

  it("what attackers have met", () => {
    const tally = new Tally();
    for (const fault of attackFaults) tally.fault(fault, "an example");
    const met = Object.fromEntries(attackFaults.map((fault) => [fault, 1]));
    expect(faults({ attackers: tally.evidence })).toEqual(met);
  });
});
