import type { Key } from "@orrery/tokens";
import { Arena, inTurns, type Plan } from "./arena.ts";
import type { Child } from "./child.ts";
import { newKey } from "./keys.ts";
import { liftedDoor } from "./lifted-limits.ts";
import type { GuardsAnswers } from "./programs/guards.ts";
import type { IdlersAnswers } from "./programs/idlers.ts";
import type { ServerAnswers } from "./programs/server.ts";
import { figuresOf, type Row } from "./report.ts";
import { spreadOf } from "./statistics.ts";

interface Door {
  readonly name: string;
  readonly key?: Key;
}

const doors: readonly Door[] = [
  { name: "open mode" },
  { name: "HS256", key: newKey("HS256") },
  { name: "EdDSA", key: newKey("EdDSA") },
];
/** As many connect side by side. */
const atOnce = 20;

interface Entered {
  readonly door: Door;
  readonly url: string;
  readonly hub: Child<ServerAnswers>;
  readonly idlers: Child<IdlersAnswers>;
}

/** What a handshake costs with a token and in open mode, and what it costs to check the token by itself. */
export async function answerTokens(plan: Plan, alone: Child<GuardsAnswers>): Promise<readonly Row[]> {
  const count = plan.isQuick ? 20 : 500;
  await using arena = new Arena(plan);
  const entered = await Promise.all(doors.map((door) => enter(arena, door)));
  const handshakes = await inTurns(entered, plan, (one) => cpuMicrosPerHandshake(one, count));
  const checks = await inTurns(doors, plan, ({ key }) =>
    key === undefined ? Promise.resolve(0) : alone.ask("cpuMicrosPerToken", key, count),
  );
  return doors.flatMap((door, place) => tokenRowsOf(door, handshakes[place] ?? [], checks[place] ?? []));
}

/** Throws where a hub with a key lets somebody in without a token. */
async function enter(arena: Arena, door: Door): Promise<Entered> {
  const { name, key } = door;
  const [hub, idlers] = await Promise.all([
    // All come from one address, again and again.
    arena.startServer("orrery", undefined, { limits: liftedDoor, hasOwnServer: true, ...(key && { key }) }),
    arena.start<IdlersAnswers>("idlers"),
  ]);
  const url = await hub.ask("url");
  const { accepted } = await idlers.ask("connect", url, 0, 1, 1);
  if (accepted > 0 && key !== undefined) throw new Error(`${name}: one came in without a token`);
  await idlers.ask("disconnect", accepted);
  return { door, url, hub, idlers };
}

async function cpuMicrosPerHandshake({ door, url, hub, idlers }: Entered, count: number): Promise<number> {
  const cpuBefore = await hub.ask("cpuMicros");
  const { refused } = await idlers.ask("connect", url, 0, count, atOnce, ...(door.key ? [door.key] : []));
  const cpuMicros = (await hub.ask("cpuMicros")) - cpuBefore;
  if (Object.keys(refused).length > 0) throw new Error(`${door.name}: ${JSON.stringify(refused)}`);
  await idlers.ask("disconnect", count);
  return cpuMicros / count;
}

function tokenRowsOf(
  { name, key }: Door,
  handshakes: readonly number[],
  checks: readonly number[],
): readonly Row[] {
  const { median } = spreadOf(handshakes);
  const own = { "CPU µs": (micros: number) => micros };
  const share = { "share %": (micros: number) => (micros / median) * 100 };
  const whole = {
    labels: { what: `a handshake, ${name}` },
    figures: figuresOf(handshakes, own),
    verdicts: [],
  };
  const check = {
    labels: { what: `token check, ${name}` },
    figures: figuresOf(checks, { ...own, ...share }),
    verdicts: [],
  };
  return key === undefined ? [whole] : [whole, check];
}
