import { commandOf, UsageError } from "../src/command.ts";

const nowMs = Date.parse("2026-06-01T12:00:00Z");
const command = (line: string) => commandOf(line.split(" ").filter(Boolean), nowMs);

describe("the command line", () => {
  const token = {
    name: "token",
    satellite: "vendor:acme",
    contract: "parcels",
    lifetimeMs: 3_600_000,
    keyFile: undefined,
  };
  it.each<[string, object]>([
    ["token vendor:acme", token],
    ["token vendor:acme --for 30s", { ...token, lifetimeMs: 30_000 }],
    ["token --for 15m vendor:acme", { ...token, lifetimeMs: 900_000 }],
    ["token vendor:acme --for=2h", { ...token, lifetimeMs: 7_200_000 }],
    ["token vendor:acme --for 7d", { ...token, lifetimeMs: 604_800_000 }],
    ["token vendor:acme --key keys/own.json", { ...token, keyFile: "keys/own.json" }],
    ["token till:1 --contract shop", { ...token, satellite: "till:1", contract: "shop" }],
    ["revoke vendor:acme", { name: "revoke", satellite: "vendor:acme", issuedBefore: nowMs }],
    ["revoke till:1 --contract shop", { name: "revoke", satellite: "till:1", issuedBefore: nowMs }],
    ["revoke --all", { name: "revoke", satellite: undefined, issuedBefore: nowMs }],
    [
      "revoke --all --before 2026-06-01T13:00:00.5+02:00",
      { name: "revoke", satellite: undefined, issuedBefore: nowMs - 3_599_500 },
    ],
    ["--help", { name: "help" }],
    ["help", { name: "help" }],
    ["token --help", { name: "help" }],
  ])("understands %j", (line, expected) => {
    expect(command(line)).toEqual(expected);
  });

  it.each([
    ["", /What is it to do/],
    ["tokn vendor:acme", /no command "tokn"/],
    ["token", /looks like vendor:acme\./],
    ["token acme", /not like acme/],
    ["token vendor:a/b", /not like vendor:a\/b/],
    ["token vendro:acme", /no role "vendro", but vendor, driver, logger, board/],
    ["token vendor:acme driver:d1", /not driver:d1 as well/],
    ["token vendor:acme --for", /for/],
    ["token vendor:acme --for 1", /not like 1\./],
    ["token vendor:acme --for 0h", /not like 0h/],
    ["token vendor:acme --for 1.5h", /not like 1\.5h/],
    ["token vendor:acme --for 1w", /not like 1w/],
    ["token vendor:acme --all", /--all does not belong/],
    ["token vendor:acme --fro 1h", /'--fro'/],
    ["revoke", /Either a satellite, or --all/],
    ["revoke vendor:acme --all", /Either a satellite, or --all/],
    ["revoke acme", /not like acme/],
    ["revoke vendro:acme", /no role "vendro", but vendor, driver, logger, board/],
    ["revoke --all --contract shop", /--contract does not belong/],
    ["revoke vendor:acme --for 1h", /--for does not belong/],
    ["revoke --all --before yesterday", /not like yesterday/],
    ["revoke --all --before 2026-06-01", /not like 2026-06-01/],
    ["revoke --all --before 2026-13-01T00:00:00Z", /not like 2026-13-01/],
    ["revoke --all --before 2026-06-01T12:00:01Z", /is in the future/],
  ])("does not understand %j, and says why", (line, why) => {
    expect(() => command(line)).toThrow(UsageError);
    expect(() => command(line)).toThrow(why);
  });
});
