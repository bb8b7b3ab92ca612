// The command as a process of its own, from its sources: nothing was built.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { developmentKey, tokenCheck } from "@orrery/tokens";
import { temporaryDirectory } from "./hub-child.ts";
import { runOrrery } from "./orrery-child.ts";

describe("npx orrery token", () => {
  it("prints a token, signed with the development key of the directory, which it makes and says so", async () => {
    await using directory = await temporaryDirectory();
    const { code, stdout, stderr } = await runOrrery(["token", "vendor:acme", "--for", "15m"], {
      cwd: directory.path,
    });
    const file = join(directory.path, ".orrery/dev-key.json");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(stderr).toBe(`orrery: a new development key is made, ${file}\n`);
    const key = await developmentKey(file);
    const { identity, issuedMs, expiresMs } = await tokenCheck(key)(stdout.trim(), "parcels");
    expect(identity).toEqual({ role: "vendor", id: "acme" });
    expect(expiresMs - issuedMs).toBe(900_000);

    const again = await runOrrery(["token", "till:1", "--contract", "shop"], { cwd: directory.path });
    expect([again.code, again.stderr]).toEqual([0, ""]);
    const presented = await tokenCheck(key)(again.stdout.trim(), "shop");
    expect(presented.identity).toEqual({ role: "till", id: "1" });
    expect(presented.expiresMs - presented.issuedMs).toBe(3_600_000);
  });

  it("signs with the key that it is told to, and never makes that one", async () => {
    await using directory = await temporaryDirectory();
    const own = await developmentKey(join(directory.path, "own.json"));
    const checks = tokenCheck(own);
    const named = await runOrrery(["token", "vendor:acme", "--key", "own.json"], { cwd: directory.path });
    await expect(checks(named.stdout.trim(), "parcels")).resolves.toBeDefined();
    const set = await runOrrery(["token", "vendor:acme"], {
      cwd: directory.path,
      ORRERY_DEV_KEY: "own.json",
    });
    await expect(checks(set.stdout.trim(), "parcels")).resolves.toBeDefined();

    const missing = await runOrrery(["token", "vendor:acme", "--key", "no.json"], { cwd: directory.path });
    expect([missing.code, missing.stdout]).toEqual([78, ""]);
    expect(missing.stderr).toMatch(/^orrery: .*There is no key file no\.json\.\n$/);
    const { d, ...publicJwk } = own.jwk as Record<string, string>;
    await writeFile(join(directory.path, "public.json"), JSON.stringify(publicJwk));
    const half = await runOrrery(["token", "vendor:acme", "--key", "public.json"], { cwd: directory.path });
    expect([half.code, half.stdout]).toEqual([78, ""]);
    expect(half.stderr).toContain("This key checks tokens; it signs none.");
    expect(d).toBeDefined();
  });
});

describe("npx orrery revoke", () => {
  it("adds a line to the hub's file, also where others do so at the same time", async () => {
    await using directory = await temporaryDirectory();
    const run = (...words: string[]) =>
      runOrrery(["revoke", ...words], { cwd: directory.path, HUB_DATA: "data" });
    const before = Date.now();
    const [one, two] = await Promise.all([
      run("vendor:acme"),
      run("--all", "--before", "2026-01-31T12:00:00+01:00"),
    ]);
    const file = join(directory.path, "data/revoked.json");
    const lines = (await readFile(file, "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(2);
    expect(lines).toContainEqual({ issuedBefore: "2026-01-31T11:00:00.000Z" });
    const { issuedBefore } = lines.find(({ satellite }) => satellite === "vendor:acme");
    expect(Date.parse(issuedBefore)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(issuedBefore)).toBeLessThanOrEqual(Date.now());
    expect(one.stdout).toBe(`Tokens of vendor:acme issued before ${issuedBefore}: revoked in ${file}\n`);
    expect(two.stdout).toBe(`Tokens issued before 2026-01-31T11:00:00.000Z: revoked in ${file}\n`);
    expect([one.code, one.stderr, two.code, two.stderr]).toEqual([0, "", 0, ""]);
  });

  it("says that it could not where the file cannot be written", async () => {
    await using directory = await temporaryDirectory();
    await mkdir(join(directory.path, "revoked"));
    const { code, stdout, stderr } = await runOrrery(["revoke", "vendor:acme"], {
      cwd: directory.path,
      HUB_REVOKED: "revoked",
    });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("EISDIR");
  });
});

it("npx orrery tells how it is used: when it is asked, or, with code 2, when it does not understand", async () => {
  const cwd = "/";
  const help = await runOrrery(["--help"], { cwd });
  expect([help.code, help.stderr]).toEqual([0, ""]);
  expect(help.stdout).toMatch(/^Usage:\n {2}orrery token <role>:<id>/);
  const wrong = await runOrrery(["token", "vendor:acme", "--for", "ever"], { cwd });
  expect([wrong.code, wrong.stdout]).toEqual([2, ""]);
  expect(wrong.stderr).toMatch(/^orrery: A duration looks like .*, not like ever\.\n\nUsage:\n/);
});
