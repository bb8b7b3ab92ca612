import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

/**
 * Whether something comes with the upgrade, or behind it, before it was answered. Node takes all that follows the headers for the
 * upgraded connection, whatever they say of a body; what stands before the hub may take it for a body, or for another request,
 * and so pass on, unchecked, what it did not see. A satellite waits for the answer (RFC 6455, section 4.1).
 */
export const saysMore = ({ headers }: IncomingMessage, head: Buffer): boolean =>
  head.length > 0 || headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";

/** What an HTTP request is answered with. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** That what was said is no upgrade as it has to be. */
export const badRequest: Refusal = {
  status: 400,
  headers: { connection: "close", "content-length": "0" },
  body: "",
};

/** Answers, and ends the connection with all that it has said. */
export function refuseUpgrade(connection: Duplex, { status, headers, body }: Refusal): void {
  connection.on("error", () => undefined); // it may be gone
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const answer = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${body}`;
  connection.end(answer, () => connection.destroy());
}
