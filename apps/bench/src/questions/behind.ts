import { Arena, type Plan } from "../arena.ts";
import type { Child } from "../child.ts";
import { fill } from "../filled-log.ts";
import { liftedRates } from "../lifted-limits.ts";
import type { EmittersAnswers } from "../programs/emitters.ts";
import type { ListenersAnswers } from "../programs/listeners.ts";
import type { ServerAnswers } from "../programs/server.ts";
import { figuresOf, type Question, type Row } from "../report.ts";
import { spreadOf } from "../statistics.ts";

const followerCount = 10;
const perSecond = 500;

interface Measurement {
  readonly deliveries: number;
  readonly wallMs: number;
  readonly cpuMicros: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  /** Events that the followers got meanwhile, all together. */
  readonly followed: number;
}

interface Cast {
  readonly url: string;
  readonly hub: Child<ServerAnswers>;
  readonly emitters: Child<EmittersAnswers>;
  readonly listeners: Child<ListenersAnswers>;
  readonly followers: Child<ListenersAnswers>;
  readonly listenerCount: number;
}

export const behind: Question = {
  name: "behind",
  asks: `What does live delivery cost, and how long does it take, while ${followerCount} followers catch up beside it?`,

  async answer(plan: Plan): Promise<readonly Row[]> {
    const kept = plan.isQuick ? 20_000 : 1_000_000;
    const listenerCount = plan.isQuick ? 10 : 100;
    await using arena = new Arena(plan);
    const directory = await arena.directory();
    await fill(arena, directory, kept);
    const cast = await assemble(arena, directory, listenerCount);
    const [alone, beside]: [Measurement[], Measurement[]] = [[], []];
    let events = 0;
    // The first pair does not count.
    for (let round = 0; round <= plan.rounds; round += 1) {
      for (const [followed, measurements] of [
        [false, alone],
        [true, beside],
      ] as const) {
        if (followed) await cast.followers.ask("follow", cast.url, `round-${round}`, followerCount);
        const measurement = await measure(cast, 2 * plan.durationMs, events);
        if (followed && !plan.isQuick && measurement.followed > followerCount * kept * 0.9) {
          throw new Error("The followers had caught up.");
        }
        if (followed) await cast.followers.ask("stopFollowing");
        events += measurement.deliveries / listenerCount;
        if (round > 0) measurements.push(measurement);
      }
    }
    const median = (measurements: readonly Measurement[]) =>
      spreadOf(measurements.map(({ latencyMs }) => latencyMs.p99)).median;
    const verdict = `p99 of live delivery beside followers: ${(median(beside) / median(alone)).toFixed(1)} × that without`;
    return [rowOf("none", alone, []), rowOf(`${followerCount}, far behind`, beside, [verdict])];
  },
};

async function assemble(arena: Arena, directory: string, listenerCount: number): Promise<Cast> {
  const [hub, emitters, listeners, followers] = await Promise.all([
    arena.startServer("orrery", directory, { limits: liftedRates }),
    arena.start<EmittersAnswers>("emitters"),
    arena.start<ListenersAnswers>("listeners"),
    arena.start<ListenersAnswers>("listeners"),
  ]);
  const url = await hub.ask("url");
  await listeners.ask("connect", url, "batched", listenerCount - 1);
  await emitters.ask("listen", url, "batched");
  await emitters.ask("connect", "sdk", url, 1);
  return { url, hub, emitters, listeners, followers, listenerCount };
}

async function measure(
  { hub, emitters, listeners, followers, listenerCount }: Cast,
  durationMs: number,
  eventsBefore: number,
): Promise<Measurement> {
  const followedBefore = await followers.ask("followed");
  const cpuBefore = await hub.ask("cpuMicros");
  const startMs = performance.now();
  const { events, latencyMs } = await emitters.ask("steady", perSecond, durationMs);
  await listeners.ask("until", (eventsBefore + events) * (listenerCount - 1));
  return {
    deliveries: events * listenerCount,
    wallMs: performance.now() - startMs,
    cpuMicros: (await hub.ask("cpuMicros")) - cpuBefore,
    latencyMs,
    followed: (await followers.ask("followed")) - followedBefore,
  };
}

function rowOf(label: string, measurements: readonly Measurement[], verdicts: readonly string[]): Row {
  return {
    labels: { followers: label },
    figures: figuresOf(measurements, {
      "p50 ms": ({ latencyMs }) => latencyMs.p50,
      "p99 ms": ({ latencyMs }) => latencyMs.p99,
      "hub CPU µs/live delivery": ({ cpuMicros, deliveries }) => cpuMicros / deliveries,
      "hub CPU µs/delivery of both": ({ cpuMicros, deliveries, followed }) =>
        cpuMicros / (deliveries + followed),
      "followed events/s": ({ followed, wallMs }) => (followed / wallMs) * 1_000,
    }),
    verdicts,
  };
}
