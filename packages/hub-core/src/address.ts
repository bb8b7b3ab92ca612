import type { IncomingMessage } from "node:http";
import { isIPv6 } from "node:net";

/**
 * Where a request comes from, as far as one may be told from another: an IPv4 address, or the first 64 bits of an IPv6 one, since
 * whoever has one address there has all of them. `proxies`: how many of the operator's own stand between; each adds to
 * `X-Forwarded-For` who it was asked by, so that what is further left is only said by the client.
 */
export function addressOf({ socket, headers }: IncomingMessage, proxies: number): string {
  const remote = socket.remoteAddress ?? "";
  if (proxies === 0) return networkOf(remote);
  const said = [headers["x-forwarded-for"] ?? []].flat().join(",").split(",");
  return networkOf(said.at(-proxies)?.trim() || remote);
}

/** `"198.51.100.7"`, `"2001:db8:0:1"`. What is no address stays as it is. */
export function networkOf(address: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address.slice(0, longest);
  const [left = "", right = ""] = address.split("::");
  const [head, tail] = [groupsOf(left), groupsOf(right)];
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => "0");
  const groups = address.includes("::") ? [...head, ...zeros, ...tail] : head;
  return groups.slice(0, 4).join(":");
}

/** Of an IPv6 address as text, with a zone; what else a proxy may say is cut. */
const longest = 64;

const groupsOf = (part: string): string[] =>
  part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16).toString(16));
