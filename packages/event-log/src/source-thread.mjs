// Node 20 cannot start a thread from TypeScript, and a loader in each of them took half a second of CPU. This is used from sources only; a
// build starts sqlite-thread.js itself.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { fileURLToPath } from "node:url";

const cache = new URL("../../../node_modules/.cache/orrery/", import.meta.url);

/** `sqlite-thread.ts` as JavaScript, made anew when any source of this package is another one. */
export async function entryFromSource() {
  const directory = new URL("./", import.meta.url);
  const hash = createHash("sha256");
  for (const name of readdirSync(directory).sort()) hash.update(readFileSync(new URL(name, directory)));
  const entry = new URL(`sqlite-thread-${hash.digest("hex")}.mjs`, cache);
  if (existsSync(entry)) return entry;
  const { buildSync } = await import("esbuild");
  mkdirSync(cache, { recursive: true });
  const outfile = `${fileURLToPath(entry)}.${process.pid}`; // others may do the same at the same time
  buildSync({
    entryPoints: [fileURLToPath(new URL("sqlite-thread.ts", directory))],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    sourcemap: "inline",
  });
  renameSync(outfile, entry);
  return entry;
}
