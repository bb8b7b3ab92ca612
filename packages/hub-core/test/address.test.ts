import type { IncomingMessage } from "node:http";
import { addressOf, networkOf } from "../src/address.ts";

describe("addresses are told apart", () => {
  it.each([
    ["198.51.100.7", "198.51.100.7"],
    ["::ffff:198.51.100.7", "198.51.100.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
    ["2001:DB8:1:2::6", "2001:db8:1:2"],
    ["2001:db8::6", "2001:db8:0:0"],
    ["2001:0db8:0001::", "2001:db8:1:0"],
    ["::1", "0:0:0:0"],
    ["fe80::1%eth0", "fe80:0:0:0"],
    ["unknown", "unknown"],
    ["x".repeat(1_000), "x".repeat(64)],
  ])("%s as %s", (address, network) => expect(networkOf(address)).toBe(network));
});

describe("a request comes from", () => {
  const request = (forwarded?: string) =>
    ({
      socket: { remoteAddress: "127.0.0.1" },
      headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded },
    }) as unknown as IncomingMessage;

  it.each([
    ["the connection's other end, whatever it says", 0, "203.0.113.9", "127.0.0.1"],
    ["whom the only proxy has seen", 1, "203.0.113.9, 198.51.100.7", "198.51.100.7"],
    ["whom the outermost of two proxies has seen", 2, "192.0.2.1, 203.0.113.9,198.51.100.7", "203.0.113.9"],
    ["the proxy, where it says nothing", 1, undefined, "127.0.0.1"],
    ["the proxy, where less is said than there are proxies", 2, "198.51.100.7", "127.0.0.1"],
  ])("%s", (_from, proxies, forwarded, address) => {
    expect(addressOf(request(forwarded), proxies)).toBe(address);
  });
});
