import { setTimeout } from "node:timers/promises";
import { Arena, type Plan, takeTurns } from "../arena.ts";
import type { Child } from "../child.ts";
import { liftedDoor } from "../lifted-limits.ts";
import type { EmittersAnswers } from "../programs/emitters.ts";
import type { HearersAnswers } from "../programs/hearers.ts";
import { figuresOf, type Question, type Row } from "../report.ts";
import { spreadOf } from "../statistics.ts";

interface Contender {
  readonly name: string;
  readonly server: "orrery" | "bare" | "recovering";
  readonly clients: "sdk" | "plain";
}

const contenders: readonly Contender[] = [
  { name: "Orrery, SDK", server: "orrery", clients: "sdk" },
  { name: "Socket.IO, default", server: "bare", clients: "plain" },
  { name: "Socket.IO, connectionStateRecovery", server: "recovering", clients: "plain" },
];

/** Ten thousand that drop every 15 s for 2 s, and 2 messages a second: as many of them as two cores carry, ten times as fast. */
interface Shape {
  readonly connections: number;
  readonly processes: number;
  readonly dropEveryMs: number;
  readonly messages: number;
  readonly perSecond: number;
}

const shape: Shape = { connections: 300, processes: 3, dropEveryMs: 1_500, messages: 120, perSecond: 20 };
const quickShape: Shape = { connections: 20, processes: 1, dropEveryMs: 300, messages: 20, perSecond: 40 };

/** Without a delivery for so long, nothing more comes: the longest time away is 0.3 s. Longer where all is due. Milliseconds. */
const quietMs = { orrery: 5_000, recovering: 5_000, bare: 1_000 };
const lookMs = 50;

interface Measurement {
  readonly share: number;
  readonly duplicates: number;
  readonly disordered: number;
  readonly lastDeliveryMs: number;
  readonly drops: number;
  readonly hubCpuMicros: number;
}

export const dropOuts: Question = {
  name: "drop-outs",
  asks: "Of messages to connections that drop again and again, which share is delivered, and when has the last one arrived?",

  async answer(plan: Plan): Promise<readonly Row[]> {
    const short = { ...plan, rounds: Math.min(plan.rounds, 3) };
    const measured = await takeTurns(contenders, short, (contender) => measure(plan, contender));
    return contenders.map((contender, place) => rowOf(contender, measured[place] ?? []));
  },
};

async function measure(plan: Plan, { name, server, clients }: Contender): Promise<Measurement> {
  const { connections, processes, dropEveryMs, messages, perSecond } = plan.isQuick ? quickShape : shape;
  await using arena = new Arena(plan);
  const [hub, emitters, ...hearers] = await Promise.all([
    // Ten times as fast as in life they come back 200 times a second; by default 100 from one address may, after the first 1,000.
    arena.startServer(server, undefined, { limits: liftedDoor }),
    arena.start<EmittersAnswers>("emitters"),
    ...Array.from({ length: processes }, () => arena.start<HearersAnswers>("hearers")),
  ]);
  const url = await hub.ask("url");
  await emitters.ask("connect", clients, url, 1);
  await Promise.all(hearers.map((process) => process.ask("connect", clients, url, connections / processes)));
  const due = connections * messages;
  const cpuBefore = await hub.ask("cpuMicros");
  // The emitter, connected first, is spared.
  await hub.ask("startDropping", 1, dropEveryMs);
  const { lastMs } = await emitters.ask("steady", perSecond, (messages / perSecond) * 1_000);
  const drops = await hub.ask("stopDropping");
  const heard = await settled(hearers, due, quietMs[server]);
  const measurement = {
    share: heard.delivered / due,
    duplicates: heard.duplicates,
    disordered: heard.disordered,
    lastDeliveryMs: heard.lastMs - lastMs,
    drops,
    hubCpuMicros: (await hub.ask("cpuMicros")) - cpuBefore,
  };
  const isWhole = heard.delivered === due && heard.duplicates === 0 && heard.disordered === 0;
  if (server === "orrery" && !isWhole) throw new Error(`${name}: ${JSON.stringify(measurement)}`);
  return measurement;
}

/** Waits until all is there, or nothing comes any more: what was lost never comes. */
async function settled(hearers: readonly Child<HearersAnswers>[], due: number, quietMs: number) {
  let changedMs = performance.now();
  for (let before = -1; ; ) {
    const heard = await Promise.all(hearers.map((process) => process.ask("heard")));
    const sum = (of: "delivered" | "duplicates" | "disordered") =>
      heard.reduce((total, one) => total + one[of], 0);
    const delivered = sum("delivered");
    if (delivered !== before) changedMs = performance.now();
    before = delivered;
    if (delivered >= due || performance.now() - changedMs > quietMs) {
      const lastMs = Math.max(...heard.map((one) => one.lastMs));
      return { delivered, duplicates: sum("duplicates"), disordered: sum("disordered"), lastMs };
    }
    await setTimeout(lookMs);
  }
}

function rowOf({ name }: Contender, measurements: readonly Measurement[]): Row {
  const { median } = spreadOf(measurements.map(({ share }) => share));
  return {
    labels: { server: name },
    figures: figuresOf(measurements, {
      "delivered %": ({ share }) => share * 100,
      duplicates: ({ duplicates }) => duplicates,
      disordered: ({ disordered }) => disordered,
      "last delivery after last emit ms": ({ lastDeliveryMs }) => lastDeliveryMs,
      drops: ({ drops }) => drops,
      "server CPU s": ({ hubCpuMicros }) => hubCpuMicros / 1e6,
    }),
    verdicts: [`${name}: ${(median * 100).toFixed(2)} % delivered`],
  };
}
