import { readFile, stat } from "node:fs/promises";
import { OrreryError } from "@orrery/contracts";
import type { Logger } from "@orrery/hub-core";
import { type Revocation, readRevocation } from "./revocations.ts";

/** How often the file is looked at. Milliseconds. */
const everyMs = 250;

/**
 * Carries out the revocations in a file, and those that are added to it: resolves when the first are. Each is carried out once; one
 * that is taken out again stays in force. What is wrong with the file is logged, once as long as it stays as it is, and holds
 * nothing else up. So is what is refused with `CONFIG_INVALID`; what fails in another way is tried again.
 */
export async function watchRevocations(
  file: string,
  revoke: (revocation: Revocation) => Promise<void>,
  logger: Logger,
): Promise<{ stop(): Promise<void> }> {
  const done = new Set<string>();
  const told = new Set<string>();
  let seen: string | undefined;
  let looking = look();
  await looking;
  const timer = setInterval(() => {
    looking = looking.then(look);
  }, everyMs);
  timer.unref();

  async function look(): Promise<void> {
    try {
      const found = await stampOf(file);
      if (found === seen) return;
      const isWhole = await carryOut(found === undefined ? "" : await readFile(file, "utf8"));
      if (isWhole) seen = found;
    } catch (error) {
      tellOnce(String(error), { err: error }, "the revocations cannot be read");
    }
  }

  /** Whether there is nothing to be tried again. */
  async function carryOut(text: string): Promise<boolean> {
    let isWhole = true;
    const revoked: string[] = [];
    for (const [place, line] of text.split("\n").entries()) {
      if (line.trim() === "" || done.has(line)) continue;
      const revocation = readRevocation(line);
      if (revocation === undefined) {
        tellOnce(line, { line: place + 1 }, "a line of the revocations is none");
        continue;
      }
      try {
        await revoke(revocation);
        done.add(line);
        revoked.push(revocation.satellite ?? "all");
      } catch (error) {
        if (error instanceof OrreryError && error.code === "CONFIG_INVALID") {
          done.add(line); // it would be refused each time
          const { code, message: why } = error;
          tellOnce(line, { line: place + 1, code, why }, "a line of the revocations is refused");
          continue;
        }
        isWhole = false;
        tellOnce(line, { err: error, line: place + 1 }, "tokens could not be revoked, and are tried again");
      }
    }
    if (revoked.length > 0) logger.info({ file, satellites: revoked }, "tokens are revoked");
    return isWhole;
  }

  function tellOnce(what: string, context: object, message: string): void {
    if (told.has(what)) return;
    told.add(what);
    logger.error({ file, ...context }, message);
  }

  return {
    async stop() {
      clearInterval(timer);
      await looking;
    },
  };
}

/** Changes with the file; undefined where there is none. */
async function stampOf(file: string): Promise<string | undefined> {
  try {
    const { mtimeMs, size } = await stat(file);
    return `${mtimeMs} ${size}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
