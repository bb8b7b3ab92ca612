import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runMain } from "@orrery/process/testing";

/** The hub as a process of its own, on a free port. */
export function runHub(environment: Readonly<Record<string, string>>) {
  const child = runMain(new URL("../src/main.ts", import.meta.url), { HUB_PORT: "0", ...environment });
  const listens = /the hub listens/;
  return {
    ...child,
    /** Where it listens; rejects when it ends before. */
    async url(): Promise<string> {
      await Promise.race([child.lines.seen(listens), child.ended]);
      const [line] = child.lines.matching(listens);
      if (line === undefined) throw new Error(`the hub has ended: ${child.lines.all.join(" ")}`);
      return JSON.parse(line).url;
    },
  };
}

export async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "orrery-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
