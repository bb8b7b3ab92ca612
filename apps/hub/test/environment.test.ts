import { type EnvironmentError, readEnvironment } from "@orrery/process";
import { HubEnvironment, revokedFile } from "../src/environment.ts";

type Environment = Readonly<Record<string, string>>;

function faultsOf(environment: Environment): readonly string[] {
  try {
    readEnvironment(HubEnvironment, environment);
  } catch (error) {
    return (error as EnvironmentError).faults;
  }
  return [];
}

describe("the hub's environment", () => {
  it.each<[string, Environment]>([
    ["nothing", {}],
    ["a loopback address", { HUB_HOST: "::1" }],
    ["a key, and any address", { HUB_KEY: "key.json", HUB_HOST: "0.0.0.0" }],
    ["a key set, and any address", { HUB_JWKS_URL: "https://issuer.example/keys", HUB_HOST: "::" }],
    ["a key, and proxies", { HUB_KEY: "key.json", HUB_PROXIES: "1" }],
    ["a key set of this machine", { HUB_JWKS_URL: "http://[::1]:8080/keys" }],
    ["a development key", { ORRERY_DEV_KEY: ".orrery/dev-key.json", HUB_HOST: "localhost" }],
    ["another key where the development key is set, but empty", { HUB_KEY: "key.json", ORRERY_DEV_KEY: "" }],
    ["certificates", { HUB_TLS_CERT: "cert.pem", HUB_TLS_KEY: "key.pem" }],
  ])("may be %s", (_name, environment) => {
    expect(faultsOf(environment)).toEqual([]);
  });

  it.each<[string, Environment, string]>([
    [
      "any address without a key",
      { HUB_HOST: "0.0.0.0" },
      'HUB_HOST: expected a loopback address (without a key the hub serves this machine only), got "0.0.0.0"',
    ],
    [
      "any address with a development key",
      { HUB_HOST: "10.0.0.1", ORRERY_DEV_KEY: "key.json" },
      'HUB_HOST: expected a loopback address (a development key is for this machine only), got "10.0.0.1"',
    ],
    [
      "proxies without a key",
      { HUB_PROXIES: "1" },
      'HUB_PROXIES: expected 0 (without a key the hub serves this machine only), got "1"',
    ],
    ["two keys", { HUB_KEY: "a", ORRERY_DEV_KEY: "b" }, "One key at most: HUB_KEY or ORRERY_DEV_KEY"],
    [
      "three keys",
      { HUB_KEY: "a", HUB_JWKS_URL: "https://b", ORRERY_DEV_KEY: "c" },
      "One key at most: HUB_KEY or HUB_JWKS_URL or ORRERY_DEV_KEY",
    ],
    [
      "a key set in plain sight",
      { HUB_JWKS_URL: "http://issuer.example/keys" },
      'HUB_JWKS_URL: expected a URL with https://, or with http:// on this machine, got "http://issuer.example/keys"',
    ],
    ["half of TLS", { HUB_TLS_CERT: "cert.pem" }, "HUB_TLS_CERT and HUB_TLS_KEY: both, or none"],
    [
      "an origin with a path",
      { HUB_ORIGINS: "https://a.example,https://b.example/" },
      'HUB_ORIGINS: expected origins such as https://app.example, separated by commas, got "https://a.example,https://b.example/"',
    ],
    [
      "a key itself",
      { HUB_KEY: '{"k":"secret"}' },
      "HUB_KEY: expected the path of a file, not what is in it",
    ],
    [
      "a private key itself",
      { HUB_TLS_CERT: "cert.pem", HUB_TLS_KEY: "-----BEGIN PRIVATE KEY-----" },
      "HUB_TLS_KEY: expected the path of a file, not what is in it",
    ],
  ])("may not be %s", (_name, environment, fault) => {
    expect(faultsOf(environment)).toEqual([fault]);
  });

  it("is told all of its faults at once, those of several variables too", () => {
    const faults = faultsOf({ HUB_HOST: "0.0.0.0", HUB_PORT: "seventy", HUB_TLS_KEY: "key.pem" });
    expect(faults).toHaveLength(3);
  });

  it("names origins, and a file of revocations that is beside the log where nothing else is said", () => {
    const { HUB_ORIGINS } = readEnvironment(HubEnvironment, {
      HUB_ORIGINS: "https://a.example, http://b:81",
    });
    expect(HUB_ORIGINS).toEqual(["https://a.example", "http://b:81"]);
    const file = (environment: Environment) => revokedFile(readEnvironment(HubEnvironment, environment));
    expect(file({})).toBe(".orrery/revoked.json");
    expect(file({ HUB_DATA: "/data" })).toBe("/data/revoked.json");
    expect(file({ HUB_DATA: "/data", HUB_REVOKED: "/etc/revoked" })).toBe("/etc/revoked");
  });
});
