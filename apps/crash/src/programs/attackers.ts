// Attackers, several at once, until SIGTERM: then they leave at once, and write down what they have met.
import { setMaxListeners } from "node:events";
import { writeFileSync } from "node:fs";
import { readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { readKey } from "@orrery/tokens";
import { z } from "zod";
import {
  answerMs,
  files,
  type Mode,
  mostConnections,
  revokeEveryMs,
  sayingsPerSecond,
} from "../fuzz/cast.ts";
import { Issuer } from "../fuzz/issuer.ts";
import { Known } from "../fuzz/known.ts";
import { Pace } from "../fuzz/pace.ts";
import { play } from "../fuzz/play.ts";
import { Revocations } from "../fuzz/revocations.ts";
import { sessionOf } from "../fuzz/session.ts";
import { Tally } from "../fuzz/tally.ts";
import { endWithParent } from "./end-with-parent.ts";

endWithParent();
await runProcess("attackers", async () => {
  const { HUB_URL, DIRECTORY, SEED, KEY, REVOKED } = readEnvironment(
    z.object({
      HUB_URL: urlVariable,
      DIRECTORY: z.string(),
      SEED: z.coerce.number().int().nonnegative(),
      /** Where the hub checks tokens: a file with the key that signs them, and the file of revocations. */
      KEY: z.string().optional(),
      REVOKED: z.string().default(""),
    }),
  );
  const ending = new AbortController();
  const { signal } = ending;
  setMaxListeners(0, signal); // all visits listen, and leave
  const tally = new Tally();
  const issuer = KEY === undefined ? undefined : new Issuer((await readKey(KEY)).jwk);
  const revocations = new Revocations(REVOKED);
  const stand = {
    port: Number(new URL(HUB_URL).port),
    seed: SEED,
    pace: new Pace(sayingsPerSecond, signal),
    tally,
    known: new Known(),
    issuer,
    revocations,
    answerMs,
    signal,
  };
  const revoke = () => {
    const whose = revocations.next(SEED, Date.now());
    if (whose !== undefined) tally.count("revoked", whose);
  };
  if (issuer !== undefined) revoke();
  const revoking = issuer && setInterval(revoke, revokeEveryMs);
  const mode: Mode = issuer === undefined ? "open" : "tokens";
  let place = 0;
  const visit = async () => {
    while (!signal.aborted) {
      const at = place++;
      await play(sessionOf(SEED, at, mode), at, stand).catch((error) => {
        if (!signal.aborted) throw error;
      });
    }
  };
  const visits = Promise.all(Array.from({ length: mostConnections }, visit));
  console.log("started");
  return {
    async stop() {
      clearInterval(revoking);
      ending.abort();
      await visits;
      writeFileSync(files.tally(DIRECTORY), JSON.stringify(tally.evidence));
      writeFileSync(files.saidLast(DIRECTORY), JSON.stringify(tally.saidLast, undefined, 1));
    },
  };
});
