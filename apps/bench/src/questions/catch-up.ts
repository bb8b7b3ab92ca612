import { Arena, type Plan } from "../arena.ts";
import type { Child } from "../child.ts";
import { fill } from "../filled-log.ts";
import type { SatellitesAnswers } from "../programs/satellites.ts";
import { figuresOf, type Question, type Row } from "../report.ts";
import { spreadOf } from "../statistics.ts";

/** What performance.md asks: events per second from disk to handler. */
const goal = { goal: 200_000, least: 100_000 };

interface Measurement {
  readonly events: number;
  readonly wallMs: number;
  readonly hubCpuMicros: number;
  readonly clientCpuMicros: number;
  readonly hubPeakBytes: number;
}

type Hear = (
  satellite: Child<SatellitesAnswers>,
  url: string,
  events: number,
  round: number,
) => Promise<number>;

/** The hub remembers names, so each round has another one. */
const followAnew: Hear = (satellite, url, events, round) =>
  satellite.ask("followAll", url, `f${round}`, events);

const contenders: readonly { readonly name: string; readonly hear: Hear }[] = [
  { name: "follower", hear: followAnew },
  { name: "live listener", hear: (satellite, url, events) => satellite.ask("hearAll", url, events) },
];

export const catchUp: Question = {
  name: "catch-up",
  asks: "How fast does one satellite get all that is kept, from disk to handler, and what does it cost the hub?",

  async answer(plan: Plan): Promise<readonly Row[]> {
    const events = plan.isQuick ? 5_000 : 1_000_000;
    await using arena = new Arena(plan);
    const directory = await arena.directory();
    await fill(arena, directory, events);
    // One after the other also in the smallest form: the log has one hub at a time.
    const measured = contenders.map((): Measurement[] => []);
    for (let round = 0; round < Math.min(plan.rounds, 3); round += 1) {
      for (const [place, { hear }] of contenders.entries()) {
        const measurement = await measure(arena, directory, events, (satellite, url) =>
          hear(satellite, url, events, round),
        );
        measured[place]?.push(measurement);
      }
    }
    return contenders.map(({ name }, place) => rowOf(name, measured[place] ?? []));
  },
};

/** A hub and a satellite of its own, so that memory and compiled code of the one before do not count. */
async function measure(
  arena: Arena,
  directory: string,
  events: number,
  hear: (satellite: Child<SatellitesAnswers>, url: string) => Promise<number>,
): Promise<Measurement> {
  const [starting, beside] = [
    arena.startServer("orrery", directory),
    arena.start<SatellitesAnswers>("satellites", [], arena.profiling),
  ];
  await using hub = await starting;
  await using satellite = await beside;
  const url = await hub.ask("url");
  await hub.ask("watchMemory");
  const [hubBefore, clientBefore] = [await hub.ask("cpuMicros"), await satellite.ask("cpuMicros")];
  const wallMs = await hear(satellite, url);
  return {
    events,
    wallMs,
    hubCpuMicros: (await hub.ask("cpuMicros")) - hubBefore,
    clientCpuMicros: (await satellite.ask("cpuMicros")) - clientBefore,
    hubPeakBytes: await hub.ask("peakBytes"),
  };
}

const perSecond = ({ events, wallMs }: Measurement) => (events / wallMs) * 1_000;

function rowOf(name: string, measurements: readonly Measurement[]): Row {
  const { median } = spreadOf(measurements.map(perSecond));
  return {
    labels: { satellite: name },
    figures: figuresOf(measurements, {
      "events/s": perSecond,
      "hub CPU µs/event": ({ hubCpuMicros, events }) => hubCpuMicros / events,
      "client CPU µs/event": ({ clientCpuMicros, events }) => clientCpuMicros / events,
      "hub peak MB": ({ hubPeakBytes }) => hubPeakBytes / 1e6,
    }),
    verdicts: [
      `${name}: ${Math.round(median / 1_000)} k events/s (goal ${goal.goal / 1_000} k/s, least ${goal.least / 1_000} k/s)`,
    ],
  };
}
