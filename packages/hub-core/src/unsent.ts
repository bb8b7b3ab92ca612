import type { HubSocket } from "./audience.ts";

/**
 * The packets that wait in Engine.IO for a connection that does not read. What the system has taken does not count. Its
 * types call the property private; there is no other way to know that costs nothing per packet, and a test notices if it
 * goes away.
 */
const waiting = ({ conn }: HubSocket) =>
  (conn as unknown as { readonly writeBuffer: readonly { readonly data?: unknown }[] }).writeBuffer;

/** Bytes of text, counted as if it were ASCII. */
export function unsentBytes(socket: HubSocket): number {
  let bytes = 0;
  for (const { data } of waiting(socket)) bytes += typeof data === "string" ? data.length : 0;
  return bytes;
}

/** Resolves when nothing of the connection waits any more, or when it is gone. */
export function whenDrained(socket: HubSocket): Promise<void> {
  const { conn } = socket;
  const isDone = () => waiting(socket).length === 0 || conn.readyState === "closed";
  if (isDone()) return Promise.resolve();
  return new Promise((resolve) => {
    const check = () => {
      if (!isDone()) return;
      conn.off("drain", check);
      conn.off("close", check);
      resolve();
    };
    conn.on("drain", check);
    conn.on("close", check);
  });
}
