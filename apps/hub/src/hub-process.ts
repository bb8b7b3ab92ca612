import { join } from "node:path";
import type { Contract } from "@orrery/contracts";
import { openSqliteLog } from "@orrery/event-log";
import { createHub, isLoopback, type Logger } from "@orrery/hub-core";
import { portVariable, positiveVariable, variable } from "@orrery/process";
import { z } from "zod";

/** The process's environment. */
export const HubEnvironment = z.object({
  /** Address to listen on. Without a key the hub is in open mode, which is for this machine only. */
  HUB_HOST: variable("a loopback address (without a key the hub serves this machine only)", (text) =>
    isLoopback(text) ? text : undefined,
  ).default("127.0.0.1"),
  /** TCP port; 0 takes a free one. */
  HUB_PORT: portVariable.default(4170),
  /** Directory of the log; made where it is missing. */
  HUB_DATA: z.string().default("./.orrery"),
  /** Events older than this may go. Days; not set: they are kept for ever. */
  HUB_KEEP_DAYS: positiveVariable.optional(),
  /** While the log holds more than this, its oldest events go. Bytes; not set: it grows. */
  HUB_KEEP_BYTES: positiveVariable.optional(),
  /** A hard bound on the log's file: past it publishers are refused with `LOG_FULL`. Bytes; not set: the disk's end. */
  HUB_MAX_BYTES: positiveVariable.optional(),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
});

export interface RunningHub {
  readonly url: string;
  stop(): Promise<void>;
}

/** Opens the log, then listens. `LOG_LOCKED` where another hub has the same directory. */
export async function startHubProcess(
  environment: z.output<typeof HubEnvironment>,
  contracts: readonly Contract[],
  logger: Logger,
): Promise<RunningHub> {
  const { HUB_HOST: host, HUB_PORT: port, HUB_DATA: data } = environment;
  const { HUB_KEEP_DAYS: days, HUB_KEEP_BYTES: bytes, HUB_MAX_BYTES: maxBytes } = environment;
  const log = await openSqliteLog({
    file: join(data, "events.db"),
    retention: {
      ...(days !== undefined && { ageMs: days * 86_400_000 }),
      ...(bytes !== undefined && { bytes }),
    },
    ...(maxBytes !== undefined && { maxBytes }),
  });
  try {
    const hub = createHub({ contracts, log, logger });
    const url = await hub.listen({ host, port });
    const names = contracts.map(({ name, version }) => `${name}@${version}`);
    logger.info(
      { url, data, contracts: names, epoch: log.epoch, head: log.head, mode: "open" },
      "the hub listens",
    );
    return {
      url,
      async stop() {
        await hub.close();
        await log.close();
        logger.info({ head: log.head }, "the hub has stopped");
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}
