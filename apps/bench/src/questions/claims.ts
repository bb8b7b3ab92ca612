import { Arena, type Plan, takeTurns } from "../arena.ts";
import type { Child } from "../child.ts";
import { liftedRates } from "../lifted-limits.ts";
import { isInstalled, packageOf, parentDirectoryOf, type SystemServerKind } from "../peers/system-server.ts";
import type { PeerServerAnswers } from "../programs/peer-server.ts";
import type { ServerAnswers } from "../programs/server.ts";
import type { WorkersAnswers, WorkPeerKind } from "../programs/workers.ts";
import { figuresOf, type Question, type Row } from "../report.ts";
import { type Latency, spreadOf } from "../statistics.ts";

interface Contender {
  readonly name: string;
  readonly kind: WorkPeerKind;
  readonly server: "orrery" | SystemServerKind;
  /** How many wait when the members begin. */
  readonly jobs: number;
}

const keyed: Contender = { name: "Orrery, keyed", kind: "keyed", server: "orrery", jobs: 20_000 };
const unordered: Contender = { name: "Orrery, unordered", kind: "unordered", server: "orrery", jobs: 20_000 };
const contenders: readonly Contender[] = [
  keyed,
  unordered,
  { name: "BullMQ on Redis", kind: "bullmq", server: "redis", jobs: 20_000 },
  // It sorts all that wait for each that it hands out: with more it is slower.
  { name: "pg-boss on PostgreSQL", kind: "pg-boss", server: "postgres", jobs: 4_000 },
];

/** `capacity`: in hand at once, over all members. After those that waited come `paced` ones, `perSecond`, to idle members. */
const shape = { members: [1, 10, 100], capacity: 100, paced: 600, perSecond: 200 };
const quickShape = { members: [1, 10], capacity: 20, paced: 20, perSecond: 200 };
const quickJobs = 300;

interface Measurement {
  readonly jobs: number;
  readonly wallMs: number;
  readonly serverCpuMicros: number;
  readonly memberCpuMicros: number;
  readonly latencyMs: Latency;
}

/** A contender at work. */
interface Running {
  readonly contender: Contender;
  readonly server: { cpuMicros(): Promise<number> };
  readonly giver: Child<WorkersAnswers>;
  readonly members: Child<WorkersAnswers>;
}

export const claims: Question = {
  name: "claims",
  asks: "How many events a second does a group hand out and settle, on disk, and how soon is a new one in a member's hands?",

  async answer(plan: Plan): Promise<readonly Row[]> {
    await using arena = new Arena(plan);
    const installed = await Promise.all(contenders.map(isHere));
    const here = contenders.filter((_, place) => installed[place]);
    const missing = contenders.filter((_, place) => !installed[place]).map(missingVerdict);
    const running = await Promise.all(here.map((contender) => enter(arena, contender)));
    const { members } = plan.isQuick ? quickShape : shape;
    const three = { ...plan, rounds: Math.min(plan.rounds, 3) };
    // The first ones do not count.
    if (!plan.isQuick) for (const one of running) await measure(one, plan, 10, "warm-up");
    const rows: Row[] = [];
    for (const count of members) {
      const measured = await takeTurns(running, three, (one, round) =>
        measure(one, plan, count, `members-${count}-round-${round}`),
      );
      const verdicts = [verdict(count, here, measured)];
      rows.push(
        ...here.map((contender, place) =>
          rowOf(contender, count, measured[place] ?? [], contender === keyed ? verdicts : []),
        ),
      );
    }
    return rows.map((row, place) =>
      place === 0 ? { ...row, verdicts: [...missing, ...row.verdicts] } : row,
    );
  },
};

const isHere = async ({ server }: Contender) => server === "orrery" || (await isInstalled(server));

function missingVerdict({ name, server }: Contender): string {
  if (server === "orrery") throw new Error("Orrery is always here.");
  return `${name} was not measured: it needs Linux and the package ${packageOf[server]} (apt-get install ${packageOf[server]})`;
}

async function enter(arena: Arena, contender: Contender): Promise<Running> {
  const { url, server } = await startServer(arena, contender);
  const args = [contender.kind, url];
  const [giver, members] = await Promise.all([
    arena.start<WorkersAnswers>("workers", args),
    arena.start<WorkersAnswers>("workers", args, arena.profiling),
  ]);
  return { contender, server, giver, members };
}

async function startServer(arena: Arena, { server: kind }: Contender) {
  if (kind === "orrery") {
    const hub: Child<ServerAnswers> = await arena.startServer("orrery", undefined, { limits: liftedRates });
    return { url: await hub.ask("url"), server: { cpuMicros: () => hub.ask("cpuMicros") } };
  }
  const directory = await arena.directory(parentDirectoryOf(kind));
  const peer = await arena.start<PeerServerAnswers>("peer-server", [kind, directory]);
  return { url: await peer.ask("url"), server: { cpuMicros: () => peer.ask("cpuMicros") } };
}

async function measure(
  { contender, server, giver, members }: Running,
  plan: Plan,
  count: number,
  queue: string,
): Promise<Measurement> {
  const jobs = plan.isQuick ? quickJobs : contender.jobs;
  const { capacity, paced, perSecond } = plan.isQuick ? quickShape : shape;
  try {
    await members.ask("assemble", queue, count, capacity / count);
    await giver.ask("give", queue, jobs);
    const before = [await server.cpuMicros(), await members.ask("cpuMicros")] as const;
    const wallMs = await members.ask("work", jobs);
    const after = [await server.cpuMicros(), await members.ask("cpuMicros")] as const;
    await giver.ask("giveSteadily", queue, jobs, paced, perSecond);
    const latencyMs = await members.ask("workOn", jobs + paced);
    await members.ask("end", jobs + paced);
    return {
      jobs,
      wallMs,
      serverCpuMicros: after[0] - before[0],
      memberCpuMicros: after[1] - before[1],
      latencyMs,
    };
  } catch (cause) {
    throw new Error(`${contender.name}, ${count} members: ${(cause as Error).message}`, { cause });
  }
}

const perSecondOf = ({ jobs, wallMs }: Measurement) => (jobs / wallMs) * 1_000;

/** What the issue asks of it. */
function verdict(
  members: number,
  here: readonly Contender[],
  measured: readonly (readonly Measurement[])[],
): string {
  const rate = (contender: Contender) =>
    spreadOf((measured[here.indexOf(contender)] ?? []).map(perSecondOf)).median;
  const ratios = here
    .filter((contender) => contender !== keyed)
    .map((contender) => `${(rate(keyed) / rate(contender)).toFixed(2)} × ${contender.name}`);
  return `${members} members: Orrery, keyed, settles ${ratios.join(", ")} (goal: ahead of each peer)`;
}

function rowOf(
  { name }: Contender,
  members: number,
  measurements: readonly Measurement[],
  verdicts: readonly string[],
): Row {
  return {
    labels: { server: name, members: String(members) },
    figures: figuresOf(measurements, {
      "settled/s": perSecondOf,
      "p50 ms": ({ latencyMs }) => latencyMs.p50,
      "p99 ms": ({ latencyMs }) => latencyMs.p99,
      "server CPU µs/event": ({ serverCpuMicros, jobs }) => serverCpuMicros / jobs,
      "member CPU µs/event": ({ memberCpuMicros, jobs }) => memberCpuMicros / jobs,
    }),
    verdicts,
  };
}
