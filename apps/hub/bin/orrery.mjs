#!/usr/bin/env node
// Starts the command from its sources where they are, with tsx, so that it works before anything was built; else what was built.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source = new URL("../src/orrery.ts", import.meta.url);
const tsx = existsSync(source) ? find("tsx") : undefined;
if (tsx === undefined) {
  await import("../dist/orrery.js");
} else {
  const options = ["--conditions=@orrery/source", `--import=${tsx}`, fileURLToPath(source)];
  const { status, error } = spawnSync(process.execPath, [...options, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  if (error !== undefined) throw error;
  process.exitCode = status ?? 1;
}

/** Undefined where it is not installed: it is for development. */
function find(name) {
  try {
    return import.meta.resolve(name);
  } catch {
    return undefined;
  }
}
