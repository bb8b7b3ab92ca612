// A process with one server: `orrery <directory of its log> <options as JSON>`, `bare` or `recovering`.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parcels } from "@orrery/contracts/parcels";
import { openSqliteLog } from "@orrery/event-log";
import { createHub, type Limits } from "@orrery/hub-core";
import type { Key } from "@orrery/tokens";
import { answerParent } from "../child.ts";
import { clockMs } from "../clock.ts";
import { Dropper } from "../dropper.ts";
import { jobs } from "../jobs.ts";
import { bareRelay } from "../peers/bare-relay.ts";

/** `bare` and `recovering`: Socket.IO as it comes, and with its `connectionStateRecovery`. */
export type ServerKind = "orrery" | "bare" | "recovering";

export interface OrreryOptions {
  /** What differs from the defaults. */
  readonly limits?: Partial<Limits>;
  /** Whether the hub has an HTTP server of its own, as apps/hub does; otherwise connections can be dropped. */
  readonly hasOwnServer?: boolean;
  /** What tokens are checked with; missing: open mode. */
  readonly key?: Key;
}

interface Server {
  /** Of its own HTTP server. */
  readonly url?: string;
  /** Identity of the log, and the offset of its newest event; null where nothing is kept. */
  readonly log: { readonly epoch: string; readonly head: number } | null;
  /** How long it took to open the log. Milliseconds. */
  readonly openMs: number;
}

const httpServer = createServer((_request, response) => response.writeHead(404).end());
const dropper = new Dropper(httpServer);

async function startOrrery(
  directory: string,
  { limits = {}, hasOwnServer, key }: OrreryOptions,
): Promise<Server> {
  const startMs = performance.now();
  const log = await openSqliteLog({ file: join(directory, "events.db") });
  const openMs = performance.now() - startMs;
  const options = { contracts: [parcels, jobs], log, limits, ...(key && { keys: key }) };
  if (hasOwnServer) return { log, openMs, url: await createHub(options).listen({ port: 0 }) };
  createHub({ ...options, server: httpServer });
  return { log, openMs };
}

const [kind, directory = "", options = "{}"] = process.argv.slice(2) as [ServerKind, string?, string?];
const isBare = kind !== "orrery";
if (isBare) bareRelay(httpServer, { isRecovering: kind === "recovering" });
const { log, openMs, url }: Server = isBare
  ? { log: null, openMs: 0 }
  : await startOrrery(directory, JSON.parse(options));
await once(httpServer.listen(0, "127.0.0.1"), "listening");
const startup = { startedMs: performance.timeOrigin, listeningMs: clockMs(), openMs };
let peakBytes = 0;
let watch: ReturnType<typeof setInterval> | undefined;

/** As in a crash: the log is not closed. By itself Node aborts where a thread of the log is at work, and says so. */
function end(): void {
  if (process.execArgv.includes("--cpu-prof")) process.exit();
  process.kill(process.pid, "SIGKILL");
}

export type ServerAnswers = typeof answers;
const answers = answerParent(
  {
    url: () => url ?? `http://127.0.0.1:${(httpServer.address() as AddressInfo).port}`,
    /** Offset of the newest event kept; null where nothing is. */
    head: () => log?.head ?? null,
    epoch: () => log?.epoch ?? null,
    /** When the process began and when it listened, both on the machine's clock, and what the log took of it. Milliseconds. */
    startup: () => startup,
    /** Microseconds of CPU time so far, all threads. */
    cpuMicros: () => {
      const { user, system } = process.cpuUsage();
      return user + system;
    },
    /** The most memory in use from here on, looked at every 10 ms; `peakBytes` ends it. */
    watchMemory(): void {
      const look = () => {
        peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
      };
      peakBytes = 0;
      look();
      watch = setInterval(look, 10);
    },
    peakBytes(): number {
      clearInterval(watch);
      return Math.max(peakBytes, process.memoryUsage.rss());
    },
    /** In use now, after what is not needed any more was given up; the latter where Node was started with `--expose-gc`. */
    async usedBytes(): Promise<number> {
      for (let time = 0; time < 5; time += 1) {
        (globalThis as { gc?: () => void }).gc?.();
        await setTimeout(100);
      }
      return process.memoryUsage.rss();
    },
    startDropping: dropper.start.bind(dropper),
    stopDropping: dropper.stop.bind(dropper),
  },
  end,
);
