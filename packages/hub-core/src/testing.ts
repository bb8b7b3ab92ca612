import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Contract } from "@orrery/contracts";
import { type EventLog, openSqliteLog, type SqliteLogOptions } from "@orrery/event-log";
import { createHub, type Hub, type HubOptions } from "./hub.ts";

/** A real hub on a free port, with a log of its own in a temporary directory. */
export interface TestHub extends AsyncDisposable {
  readonly url: string;
  /** The one that runs now. */
  readonly hub: Hub;
  readonly log: EventLog;
  /** Stops the hub; satellites see the connection drop. */
  stop(): Promise<void>;
  /** Starts it again on the same port and the same log, with other options for the log where they are given. */
  start(options?: LogOptions): Promise<void>;
  /** Stops it and removes its directory. */
  [Symbol.asyncDispose](): Promise<void>;
}

type LogOptions = Omit<SqliteLogOptions, "file">;

/** For tests of any workspace: `await using hub = await startHub({ contracts: [parcels] })`. */
export async function startHub({
  log: logOptions,
  ...options
}: Omit<HubOptions, "log" | "server" | "contracts"> & {
  readonly contracts: readonly Contract[];
  readonly log?: LogOptions;
}): Promise<TestHub> {
  const directory = await mkdtemp(join(tmpdir(), "orrery-"));
  const open = async (port: number, changed: LogOptions | undefined) => {
    const log = await openSqliteLog({ ...changed, file: join(directory, "events.db") });
    const hub = createHub({ ...options, log });
    const url = await hub.listen({ port });
    return { hub, log, url };
  };
  let running: Awaited<ReturnType<typeof open>> | undefined = await open(0, logOptions);
  const { url } = running;
  let { hub, log } = running;

  const stop = async () => {
    const stopping = running;
    running = undefined;
    await stopping?.hub.close();
    await stopping?.log.close();
  };
  return {
    url,
    get hub() {
      return hub;
    },
    get log() {
      return log;
    },
    stop,
    async start(changed = logOptions) {
      running = await open(Number(new URL(url).port), changed);
      ({ hub, log } = running);
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
