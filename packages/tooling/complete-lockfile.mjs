// npm 11 drops other platforms' optional packages from a lockfile that was written where they could not be resolved,
// and `npm ci` then demands them (npm/cli issue 9846). This writes them back, without a hash, and takes out download
// addresses. Run it after every change of dependencies; with `--check` it changes nothing and fails if it would.
import { readFileSync, writeFileSync } from "node:fs";

const check = process.argv.includes("--check");
const file = process.argv.slice(2).find((word) => !word.startsWith("--")) ?? "package-lock.json";
const lock = JSON.parse(readFileSync(file, "utf8"));
const systems = [
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "aix",
  "win32",
  "windows",
];
const chips = ["arm64", "x64", "ia32", "arm", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "64"];
let changes = 0;

for (const entry of Object.values(lock.packages)) {
  if (typeof entry.resolved === "string" && /^https?:/.test(entry.resolved)) {
    delete entry.resolved;
    changes += 1;
  }
}
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    const flat = `node_modules/${name}`;
    if (lock.packages[`${path}/${flat}`] || lock.packages[flat]) continue;
    const words = name.split("/").at(-1).split("-");
    const os = systems.find((system) => words.includes(system));
    const cpu = chips.find((chip) => words.includes(chip));
    if (!/^\d+\.\d+\.\d+[\w.-]*$/.test(range) || (!os && !cpu)) {
      console.error(`left alone: ${name}@${range}`);
      continue;
    }
    lock.packages[flat] = {
      version: range,
      ...(entry.dev && { dev: true }),
      optional: true,
      ...(cpu && { cpu: [cpu === "64" ? "x64" : cpu] }),
      ...(os && { os: [os === "windows" ? "win32" : os] }),
      ...(words.includes("musl") && { libc: ["musl"] }),
    };
    changes += 1;
  }
}
if (check) {
  if (changes > 0) {
    console.error(`${file} is incomplete (${changes} changes): run "npm run lockfile"`);
    process.exit(1);
  }
} else {
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`${changes} changes`);
}
