// Servers that are programs of the system, for Linux: found, started on loopback with what they keep in a directory, and ended.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants, readdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** `redis`: appendfsync always. `postgres`: as it comes, which is fsync and synchronous_commit on. */
export type SystemServerKind = "redis" | "postgres";

/** What to install where one of them is not there: Debian's package. */
export const packageOf: { readonly [Kind in SystemServerKind]: string } = {
  redis: "redis-server",
  postgres: "postgresql",
};

const programsOf: { readonly [Kind in SystemServerKind]: readonly string[] } = {
  redis: ["redis-server"],
  postgres: ["initdb", "postgres"],
};

const isRoot = process.getuid?.() === 0;

export async function isInstalled(kind: SystemServerKind): Promise<boolean> {
  // `setpriv` ends it when we are gone, and starts PostgreSQL, which refuses root, as its own user.
  const found = await Promise.all(["setpriv", ...programsOf[kind]].map(find));
  return process.platform === "linux" && found.every((path) => path !== undefined);
}

/** Where it may keep its files, on a disk; undefined: anywhere. A user of its own cannot enter every checkout. */
export const parentDirectoryOf = (kind: SystemServerKind): string | undefined =>
  kind === "postgres" && isRoot ? "/var/tmp" : undefined;

export interface SystemServer {
  readonly url: string;
  /** Of all its processes. Microseconds, to the hundredth of a second. */
  cpuMicros(): Promise<number>;
  /** At once, as in a crash. */
  end(): Promise<void>;
}

/** Without `end` it ends with the process that called this. */
export async function startSystemServer(kind: SystemServerKind, directory: string): Promise<SystemServer> {
  const port = await freePort();
  return kind === "redis" ? startRedis(directory, port) : startPostgres(directory, port);
}

async function startRedis(directory: string, port: number): Promise<SystemServer> {
  const settings = {
    bind: "127.0.0.1",
    port: String(port),
    dir: directory,
    appendonly: "yes",
    appendfsync: "always",
    save: "", // the append-only file has it all: snapshots beside it would only cost
    "maxmemory-policy": "noeviction", // BullMQ asks for it
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  return start(`redis://127.0.0.1:${port}`, ["--pdeathsig=KILL"], "redis-server", args, "SIGKILL");
}

async function startPostgres(directory: string, port: number): Promise<SystemServer> {
  const user = isRoot ? ["--reuid=postgres", "--regid=postgres", "--clear-groups"] : [];
  if (isRoot) await run("chown", ["postgres:postgres", directory]);
  const data = join(directory, "data");
  const made = ["-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C"];
  await run("setpriv", [...user, (await find("initdb")) ?? "initdb", ...made], { cwd: directory });
  const settings = { listen_addresses: "127.0.0.1", unix_socket_directories: "" };
  const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const url = `postgres://bench@127.0.0.1:${port}/postgres`;
  const all = ["-D", data, "-p", String(port), ...args];
  return start(url, [...user, "--pdeathsig=QUIT"], "postgres", all, "SIGQUIT");
}

/** Resolves when it says, in either of their words, that it is ready. */
async function start(
  url: string,
  how: readonly string[],
  program: string,
  args: readonly string[],
  ending: NodeJS.Signals,
): Promise<SystemServer> {
  const child = spawn("setpriv", [...how, (await find(program)) ?? program, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: "/",
  });
  let said = "";
  await new Promise<void>((resolve, reject) => {
    const listen = (chunk: Buffer) => {
      said += chunk.toString();
      if (/ready to accept connections/i.test(said)) resolve();
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${program} has ended:\n${said}`)));
  });
  for (const stream of [child.stdout, child.stderr]) stream.removeAllListeners("data").resume();
  return {
    url,
    cpuMicros: () => cpuMicrosOf(child.pid as number),
    end: async () => {
      const gone = once(child, "exit");
      child.kill(ending);
      await gone;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

/** Its path. Debian's PostgreSQL has its programs where no PATH leads, the newest version is taken. */
async function find(program: string): Promise<string | undefined> {
  const debian = "/usr/lib/postgresql";
  const versions = await readdir(debian).catch((): string[] => []);
  const newestFirst = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(debian, version, "bin"));
  for (const directory of [...(process.env.PATH ?? "").split(":"), ...newestFirst]) {
    const path = join(directory, program);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/** What Linux counts in: USER_HZ is 100 on all common machines. */
const tickMicros = 10_000;

/** Of the process, those it has started, and those of them that have ended. */
async function cpuMicrosOf(pid: number): Promise<number> {
  const [stat, children] = await Promise.all([
    readFile(`/proc/${pid}/stat`, "utf8"),
    readFile(`/proc/${pid}/task/${pid}/children`, "utf8"),
  ]).catch(() => ["", ""] as const); // it has just ended
  // Behind the name, which may have spaces: the state is the first, utime, stime, cutime and cstime are 12th to 15th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const own = fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * tickMicros;
  const others = await Promise.all(children.split(" ").filter(Boolean).map(Number).map(cpuMicrosOf));
  return others.reduce((sum, micros) => sum + micros, own);
}
