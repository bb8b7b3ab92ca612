// A process with one server: `orrery <directory of its log>` or `bare`.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { parcels } from "@orrery/contracts/parcels";
import { openSqliteLog } from "@orrery/event-log";
import { createHub } from "@orrery/hub-core";
import { answerParent } from "../child.ts";
import { bareRelay } from "../peers/bare-relay.ts";

interface Server {
  readonly url: string;
  /** Offset of the newest event kept; null where nothing is. */
  head(): number | null;
}

async function startOrrery(directory: string): Promise<Server> {
  const log = await openSqliteLog({ file: join(directory, "events.db") });
  const url = await createHub({ contracts: [parcels], log }).listen({ port: 0 });
  return { url, head: () => log.head };
}

async function startBare(): Promise<Server> {
  const httpServer = bareRelay().listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  return { url: `http://127.0.0.1:${(httpServer.address() as AddressInfo).port}`, head: () => null };
}

const [kind, directory = ""] = process.argv.slice(2);
const server = kind === "orrery" ? await startOrrery(directory) : await startBare();

export type ServerAnswers = typeof answers;
const answers = answerParent({
  url: () => server.url,
  head: () => server.head(),
  /** Microseconds of CPU time so far, all threads. */
  cpuMicros: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
});
