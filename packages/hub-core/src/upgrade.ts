import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/**
 * Whether something comes with the upgrade, or behind it, before it was answered. Node takes all that follows the headers for the
 * upgraded connection, whatever they say of a body; what stands before the hub may take it for a body, or for another request,
 * and so pass on, unchecked, what it did not see. A satellite waits for the answer (RFC 6455, section 4.1).
 */
export const saysMore = ({ headers }: IncomingMessage, head: Buffer): boolean =>
  head.length > 0 || headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";

/** Answers, and ends the connection with all that it has said. */
export function refuseUpgrade(connection: Duplex): void {
  connection.on("error", () => undefined);
  connection.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", () =>
    connection.destroy(),
  );
}
