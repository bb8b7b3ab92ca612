import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import {
  developmentKey,
  identityOf,
  signToken,
  type TokenEnvironment,
  tokenCheck,
  tokenSource,
  tokenVariables,
} from "../src/index.ts";

const acme = { role: "vendor", id: "acme" } as const;
const globex = { role: "vendor", id: "globex" } as const;

let directory = "";
const path = (name: string) => join(directory, name);
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "orrery-"));
});
afterEach(() => rm(directory, { recursive: true }));

const from = (environment: Record<string, string>) =>
  tokenSource(z.object(tokenVariables).parse(environment) as TokenEnvironment, "parcels");
const tokenOf = async (satellite: string) =>
  signToken(await developmentKey(path("key.json")), { satellite, contract: "parcels", lifetimeMs: 60_000 });
/** What the `token` of credentials gives. */
const shown = async (token: unknown) => (typeof token === "function" ? token() : token) as Promise<string>;
const fault = (promise: Promise<unknown>) =>
  promise.then(
    () => "",
    ({ code, message }) => `${code} ${message}`,
  );

describe("a process's tokens", () => {
  it("are none where its environment says nothing: its satellites name themselves", async () => {
    const source = await from({});
    expect(source.only).toBeUndefined();
    expect(source.credentialsOf(acme)).toEqual(acme);
  });

  it("are the one that it is given", async () => {
    const token = await tokenOf("vendor:acme");
    const source = await from({ SATELLITE_TOKEN: token, ORRERY_DEV_KEY: path("unused.json") });
    expect(source.only).toEqual(acme);
    expect(source.credentialsOf(acme)).toEqual({ token });
  });

  it("are the one in a file, as it is at the time", async () => {
    const [first, second] = await Promise.all([tokenOf("vendor:acme"), tokenOf("vendor:acme")]);
    await writeFile(path("token"), `${first}\n`);
    const source = await from({ SATELLITE_TOKEN_FILE: path("token") });
    const { token } = source.credentialsOf(acme);
    expect([source.only, await shown(token)]).toEqual([acme, first]);
    await writeFile(path("token"), second);
    expect(await shown(token)).toBe(second);
    await rm(path("token"));
    expect(await fault(shown(token))).toContain(`The token file ${path("token")} cannot be read.`);
  });

  it("are signed for each satellite with the development key, which is made where it is missing, also anew", async () => {
    const source = await from({ ORRERY_DEV_KEY: path("new/key.json") });
    expect(source.only).toBeUndefined();
    const identities = async () => {
      const check = tokenCheck(await developmentKey(path("new/key.json")));
      return Promise.all(
        [acme, globex].map(async (one) => {
          const { identity, issuedMs, expiresMs } = await check(
            await shown(source.credentialsOf(one).token),
            "parcels",
          );
          expect(expiresMs - issuedMs).toBe(3_600_000);
          return identity;
        }),
      );
    };
    expect(await identities()).toEqual([acme, globex]);
    await rm(path("new"), { recursive: true });
    expect(await identities()).toEqual([acme, globex]);
  });

  it("do not suffice for a second satellite where there is one, and it is said whose that is", async () => {
    const source = await from({ SATELLITE_TOKEN: await tokenOf("vendor:acme") });
    expect(() => source.credentialsOf(globex)).toThrow(
      expect.objectContaining({
        code: "CONFIG_INVALID",
        message: expect.stringMatching(/is vendor:acme's, and vendor:globex needs one/),
      }),
    );
    expect(() => source.credentialsOf({ role: "driver", id: "acme" })).toThrow(/driver:acme/);
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ["that is none", { SATELLITE_TOKEN: "secret" }, /SATELLITE_TOKEN is no token/],
    ["in a file that is not there", { SATELLITE_TOKEN_FILE: "/no/such/token" }, /\/no\/such\/token cannot/],
    ["twice", { SATELLITE_TOKEN: "secret", SATELLITE_TOKEN_FILE: "file" }, /not both/],
    ["with a key in a place that cannot be", { ORRERY_DEV_KEY: "/dev/null/key" }, /ENOTDIR|cannot be read/],
  ])("are refused %s, without their content", async (_name, environment, message) => {
    const said = await fault(from(environment));
    expect(said).toMatch(message);
    expect(said).not.toContain("secret");
  });

  it("are not taken for the path of a file", async () => {
    const token = await tokenOf("vendor:acme");
    const { error } = z.object(tokenVariables).safeParse({ SATELLITE_TOKEN_FILE: token });
    expect(error?.issues[0]?.message).toBe("expected the path of a file, not the token itself");
  });
});

it.each([
  ["vendor:acme", acme],
  ["vendor:", undefined],
  ["acme", undefined],
  ["vendor:a/b", undefined],
  ["Vendor:acme", undefined],
])("the satellite of the subject %j is %j", (text, identity) => {
  expect(identityOf(text)).toEqual(identity);
});
