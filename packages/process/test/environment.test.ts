import { z } from "zod";
import {
  EnvironmentError,
  portVariable,
  positiveVariable,
  readEnvironment,
  urlVariable,
  variable,
} from "../src/index.ts";

const schema = z.object({
  HUB_PORT: portVariable.default(4000),
  HUB_URL: urlVariable,
  HUB_TOKEN: z.string().min(10).optional(),
  LEASE_SECONDS: positiveVariable.optional(),
  LOG_LEVEL: z.enum(["info", "debug"]).default("info"),
});

function faultsOf(read: () => unknown): readonly string[] {
  try {
    read();
  } catch (error) {
    if (error instanceof EnvironmentError) return error.faults;
    throw error;
  }
  return [];
}

describe("readEnvironment", () => {
  it("gives the variables that the schema names, as values, and no others", () => {
    const env = { HUB_URL: "http://localhost:4000", HUB_PORT: "8080", LEASE_SECONDS: "0.5", HOME: "/root" };
    expect(readEnvironment(schema, env)).toEqual({
      HUB_URL: "http://localhost:4000",
      HUB_PORT: 8080,
      LEASE_SECONDS: 0.5,
      LOG_LEVEL: "info",
    });
  });

  it("counts an empty string as missing", () => {
    expect(readEnvironment(schema, { HUB_URL: "http://hub", HUB_PORT: "", HUB_TOKEN: "" })).toEqual({
      HUB_URL: "http://hub",
      HUB_PORT: 4000,
      LOG_LEVEL: "info",
    });
    expect(faultsOf(() => readEnvironment(schema, { HUB_URL: "" }))).toEqual([
      "HUB_URL: expected a URL with http:// or https://, got nothing",
    ]);
  });

  it("lists all faults at once, a line each, in one error with code CONFIG_INVALID", () => {
    const env = { HUB_PORT: "abc", HUB_URL: "hub:4000", LEASE_SECONDS: "-1", LOG_LEVEL: "loud" };
    const faults = [
      'HUB_PORT: expected a whole number from 0 to 65535, got "abc"',
      'HUB_URL: expected a URL with http:// or https://, got "hub:4000"',
      'LEASE_SECONDS: expected a number above 0, got "-1"',
      'LOG_LEVEL: Invalid option: expected one of "info"|"debug", got "loud"',
    ];
    expect(faultsOf(() => readEnvironment(schema, env))).toEqual(faults);
    expect(() => readEnvironment(schema, env)).toThrow(
      expect.objectContaining({
        code: "CONFIG_INVALID",
        message: ["The environment is not usable.", ...faults].join("\n"),
      }),
    );
  });

  it("says of a plain zod string that it is missing", () => {
    expect(faultsOf(() => readEnvironment(z.object({ NAME: z.string() }), {}))).toEqual([
      "NAME: expected a value, got nothing",
    ]);
  });

  it.each(["HUB_KEY", "HUB_TOKEN", "hub_secret"])("never prints the value of %s", (name) => {
    const faults = faultsOf(() => readEnvironment(z.object({ [name]: portVariable }), { [name]: "hunter2" }));
    expect(faults).toEqual([`${name}: expected a whole number from 0 to 65535`]);
  });

  it("takes rules about several variables", () => {
    const pair = z
      .object({ TLS_CERT: z.string().optional(), TLS_FILE: z.string().optional() })
      .refine(({ TLS_CERT, TLS_FILE }) => !TLS_CERT || TLS_FILE, "TLS_CERT needs TLS_FILE");
    expect(faultsOf(() => readEnvironment(pair, { TLS_CERT: "a" }))).toEqual(["TLS_CERT needs TLS_FILE"]);
  });

  it("reads the environment of the process where none is given", () => {
    expect(readEnvironment(z.object({ PATH: z.string() }))).toEqual({ PATH: process.env.PATH });
  });
});

describe("the ready-made variables", () => {
  it.each([
    ["0", 0],
    ["65535", 65_535],
    ["65536", undefined],
    ["-1", undefined],
    ["80.5", undefined],
    ["0x50", undefined],
    [" 80", undefined],
  ])("read the port %j as %j", (text, value) => {
    expect(portVariable.safeParse(text).data).toBe(value);
  });

  it.each([
    ["http://localhost:4000", true],
    ["HTTPS://hub.example/path", true],
    ["ws://hub.example", false],
    ["localhost:4000", false],
    ["http://", false],
  ])("take or refuse the URL %j", (text, isTaken) => {
    expect(urlVariable.safeParse(text).data).toBe(isTaken ? text : undefined);
  });

  it.each([
    ["1", 1],
    ["0.25", 0.25],
    ["0", undefined],
    ["-3", undefined],
    ["1e3", undefined],
    ["9".repeat(400), undefined],
  ])("read the positive number %j as %j", (text, value) => {
    expect(positiveVariable.safeParse(text).data).toBe(value);
  });

  it("can be joined by an app's own", () => {
    const flag = variable("yes or no", (text) => ({ yes: true, no: false })[text]);
    expect(readEnvironment(z.object({ FLAG: flag }), { FLAG: "no" })).toEqual({ FLAG: false });
    expect(faultsOf(() => readEnvironment(z.object({ FLAG: flag }), { FLAG: "maybe" }))).toEqual([
      'FLAG: expected yes or no, got "maybe"',
    ]);
  });
});
