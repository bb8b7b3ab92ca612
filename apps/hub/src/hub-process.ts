import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Contract, OrreryError } from "@orrery/contracts";
import { openSqliteLog } from "@orrery/event-log";
import { createHub, isLoopback, type Logger, limitsFrom } from "@orrery/hub-core";
import { developmentKey, type KeySource, readKey } from "@orrery/tokens";
import { type HubVariables, revokedFile } from "./environment.ts";
import { watchRevocations } from "./watch-revocations.ts";

export interface RunningHub {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Opens the log, then listens. `LOG_LOCKED` where another hub has the same directory, `CONFIG_INVALID` for files of keys or
 * certificates that cannot be used, and for a host that there is not, or that is another machine.
 */
export async function startHubProcess(
  environment: HubVariables,
  contracts: readonly Contract[],
  logger: Logger,
): Promise<RunningHub> {
  const { HUB_HOST: host, HUB_PORT: port, HUB_DATA: data, HUB_ORIGINS: origins } = environment;
  const { HUB_LIMITS: changes, HUB_PROXIES: proxies } = environment;
  const { HUB_KEEP_DAYS: days, HUB_KEEP_BYTES: bytes, HUB_MAX_BYTES: maxBytes } = environment;
  const keys = await keysOf(environment);
  const tls = await tlsOf(environment);
  const limits = limitsFrom(changes);
  const log = await openSqliteLog({
    file: join(data, "events.db"),
    retention: {
      ...(days !== undefined && { ageMs: days * 86_400_000 }),
      ...(bytes !== undefined && { bytes }),
    },
    ...(maxBytes !== undefined && { maxBytes }),
  });
  let revocations: Awaited<ReturnType<typeof watchRevocations>> | undefined;
  try {
    const hub = createHub({
      contracts,
      log,
      logger,
      limits,
      proxies,
      ...(keys !== undefined && { keys }),
      ...(tls !== undefined && { tls }),
      ...(origins !== undefined && { origins }),
    });
    logger.info({ changed: Object.keys(changes ?? {}), limits, proxies }, "the hub's limits");
    // Before it listens, so that nobody slips in.
    if (keys !== undefined) {
      revocations = await watchRevocations(revokedFile(environment), (one) => hub.revoke(one), logger);
    }
    const url = await hub.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
      if (!ofHost.has(error.code ?? "")) throw error;
      throw new OrreryError("CONFIG_INVALID", {
        detail: `HUB_HOST cannot be listened on: ${error.message}.`,
      });
    });
    const names = contracts.map(({ name, version }) => `${name}@${version}`);
    const mode = keys === undefined ? "open" : "tokens";
    logger.info({ url, data, contracts: names, epoch: log.epoch, head: log.head, mode }, "the hub listens");
    if (!isLoopback(host) && tls === undefined) {
      logger.warn(
        { url },
        "tokens and events are not encrypted on the way: set HUB_TLS_CERT and HUB_TLS_KEY",
      );
    }
    return {
      url,
      async stop() {
        await revocations?.stop();
        await hub.close();
        await log.close();
        logger.info({ head: log.head }, "the hub has stopped");
      },
    };
  } catch (error) {
    await revocations?.stop();
    await log.close();
    throw error;
  }
}

/** What the system says of a host that is no address of this machine, or no name. */
const ofHost = new Set(["EADDRNOTAVAIL", "ENOTFOUND"]);

async function keysOf(environment: HubVariables): Promise<KeySource | undefined> {
  const { HUB_KEY: file, HUB_JWKS_URL: jwksUrl, ORRERY_DEV_KEY: developmentFile } = environment;
  if (file !== undefined) return readKey(file);
  if (jwksUrl !== undefined) return { jwksUrl };
  return developmentFile === undefined ? undefined : developmentKey(developmentFile);
}

async function tlsOf({ HUB_TLS_CERT: certFile, HUB_TLS_KEY: keyFile }: HubVariables) {
  if (certFile === undefined || keyFile === undefined) return undefined;
  try {
    return { cert: await readFile(certFile, "utf8"), key: await readFile(keyFile, "utf8") };
  } catch (error) {
    const detail = `HUB_TLS_CERT or HUB_TLS_KEY cannot be read: ${(error as Error).message}`;
    throw new OrreryError("CONFIG_INVALID", { detail });
  }
}
