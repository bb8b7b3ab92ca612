// Attackers, several at once, until SIGTERM: then they leave at once, and write down what they have met.
import { setMaxListeners } from "node:events";
import { writeFileSync } from "node:fs";
import { readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { z } from "zod";
import { answerMs, files, mostConnections, sayingsPerSecond } from "../fuzz/cast.ts";
import { Known } from "../fuzz/known.ts";
import { Pace } from "../fuzz/pace.ts";
import { play } from "../fuzz/play.ts";
import { sessionOf } from "../fuzz/session.ts";
import { Tally } from "../fuzz/tally.ts";
import { endWithParent } from "./end-with-parent.ts";

endWithParent();
await runProcess("attackers", async () => {
  const { HUB_URL, DIRECTORY, SEED } = readEnvironment(
    z.object({
      HUB_URL: urlVariable,
      DIRECTORY: z.string(),
      SEED: z.coerce.number().int().nonnegative(),
      /** Whether what the hub is known not to withstand is said, too. */
    }),
  );
  const ending = new AbortController();
  const { signal } = ending;
  setMaxListeners(0, signal); // all visits listen, and leave
  const tally = new Tally();
  const stand = {
    port: Number(new URL(HUB_URL).port),
    seed: SEED,
    pace: new Pace(sayingsPerSecond, signal),
    tally,
    known: new Known(),
    answerMs,
    signal,
  };
  let place = 0;
  const visit = async () => {
    while (!signal.aborted) {
      const at = place++;
      await play(sessionOf(SEED, at), at, stand).catch((error) => {
        if (!signal.aborted) throw error;
      });
    }
  };
  const visits = Promise.all(Array.from({ length: mostConnections }, visit));
  console.log("started");
  return {
    async stop() {
      ending.abort();
      await visits;
      writeFileSync(files.tally(DIRECTORY), JSON.stringify(tally.evidence));
      writeFileSync(files.saidLast(DIRECTORY), JSON.stringify(tally.saidLast, undefined, 1));
    },
  };
});
