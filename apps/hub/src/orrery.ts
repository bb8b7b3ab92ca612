// The command `orrery`; bin/orrery.mjs starts it.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { readEnvironment, runProcess } from "@orrery/process";
import { developmentKey, readKey, signToken } from "@orrery/tokens";
import { z } from "zod";
import { type Command, commandOf, UsageError, usage } from "./command.ts";
import { RevokedEnvironment, revokedFile } from "./environment.ts";
import { addRevocation } from "./revocations.ts";

await runProcess("orrery", async () => {
  try {
    await run(commandOf(process.argv.slice(2), Date.now()));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`orrery: ${error.message}\n\n${usage}`);
    process.exitCode = 2;
  }
  return undefined;
});

async function run(command: Command): Promise<void> {
  switch (command.name) {
    case "help":
      return console.log(usage);
    case "token": {
      const { keyFile } = command;
      const key = keyFile === undefined ? await ownKey() : await readKey(keyFile);
      return console.log(await signToken(key, command));
    }
    case "revoke": {
      const { satellite, issuedBefore } = command;
      const file = revokedFile(readEnvironment(RevokedEnvironment));
      await addRevocation(file, { ...(satellite !== undefined && { satellite }), issuedBefore });
      const whose = satellite === undefined ? "Tokens" : `Tokens of ${satellite}`;
      console.log(
        `${whose} issued before ${new Date(issuedBefore).toISOString()}: revoked in ${resolve(file)}`,
      );
    }
  }
}

/** What is made is told, since a key that no hub has is of no use: this may be the wrong directory. */
async function ownKey() {
  const { ORRERY_DEV_KEY: file } = readEnvironment(
    z.object({ ORRERY_DEV_KEY: z.string().default("./.orrery/dev-key.json") }),
  );
  if (!existsSync(file)) console.error(`orrery: a new development key is made, ${resolve(file)}`);
  return developmentKey(file);
}
