// A process in which nothing but the hub's guards is at work.
import { nameOf } from "@orrery/contracts";
import { parcels } from "@orrery/contracts/parcels";
import { defaultLimits } from "@orrery/hub-core";
import type { Key } from "@orrery/tokens";
import { answerParent } from "../child.ts";
import { cpuMicrosPerEvent } from "../guards.ts";
import { Revocations, silentLogger, Tokens } from "../hub-inside.ts";
import { tokenFor } from "../keys.ts";

/** As when so many satellites connect side by side. */
const atOnce = 20;

/** A log in which nothing is revoked. */
const log = { records: async () => [] } as never;

export type GuardsAnswers = typeof answers;
const answers = answerParent({
  cpuMicrosPerEvent,

  /** What it costs to check a token, each of another satellite. Microseconds of CPU, all threads. */
  async cpuMicrosPerToken(key: Key, count: number): Promise<number> {
    const revocations = new Revocations(log, undefined as never, new Set(parcels.roles));
    const tokens = new Tokens(key, revocations, defaultLimits, silentLogger);
    const names = Array.from({ length: count }, (_, number) => nameOf({ role: "vendor", id: `v${number}` }));
    const presented = await Promise.all(names.map((name) => tokenFor(key, name)));
    let next = 0;
    const check = async () => {
      while (next < count) {
        const place = next++;
        const known = await tokens.known(presented[place] as string, parcels);
        if (typeof known === "string" || nameOf(known.identity) !== names[place]) {
          throw new Error(`refused: ${JSON.stringify(known)}`);
        }
      }
    };
    const cpuBefore = process.cpuUsage();
    await Promise.all(Array.from({ length: atOnce }, check));
    const { user, system } = process.cpuUsage(cpuBefore);
    return (user + system) / count;
  },
});
