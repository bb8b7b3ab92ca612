import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nameOf } from "@orrery/contracts";
import { keyFrom, tokenCheck } from "@orrery/tokens";
import { attackers, revokedWithinMs, tokenGraceMs } from "../../src/fuzz/cast.ts";
import { Chance } from "../../src/fuzz/chance.ts";
import { Issuer } from "../../src/fuzz/issuer.ts";
import { Revocations } from "../../src/fuzz/revocations.ts";
import { believed, Standing } from "../../src/fuzz/standing.ts";
import { isSameToken, rightToken, wrongToken } from "../../src/fuzz/token-attack.ts";

const nowMs = 1_800_000_000_000;
const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
const issuer = new Issuer(jwk, () => nowMs);
const check = tokenCheck(keyFrom(jwk), () => nowMs);
const identity = { role: "vendor", id: "a0" };
const places = Array.from({ length: 1_000 }, (_, place) => place);

describe("a token of the grammar", () => {
  it("that is right is good for its satellite, for as long as it is told to be", async () => {
    const all = places.map((place) => rightToken(new Chance(place), identity, issuer));
    expect(new Set(all.map(({ name }) => name)).size).toBe(8);
    for (const { token, fault, issuedMs, expiresMs } of all) {
      expect(fault).toBeUndefined();
      expect(await check(String(token), "parcels")).toEqual({ identity, issuedMs, expiresMs });
    }
  });

  it("that is wrong says so, but where it is the right one written in another way", () => {
    const all = places.map((place) => wrongToken(new Chance(place), identity, issuer));
    expect(new Set(all.map(({ name }) => name)).size).toBe(17);
    for (const { name, fault } of all) expect([name, undefined]).toContain(fault);
    expect(all.filter(({ fault }) => fault === undefined).length).toBeLessThan(places.length / 20);
  });

  it("is the same where its signature is, whatever the letters", () => {
    const { token } = issuer.issue(identity);
    expect(isSameToken(token, token)).toBe(true);
    expect(isSameToken(`${token}=`, token)).toBe(true);
    expect(isSameToken(`${token}AA`, token)).toBe(false);
    expect(isSameToken(` ${token}`, token)).toBe(false);
    expect(isSameToken([token], token)).toBe(false);
  });
});

async function startRevoking() {
  const directory = await mkdtemp(join(tmpdir(), "orrery-fuzz-test-"));
  const file = join(directory, "revoked.json");
  return {
    revocations: new Revocations(file),
    lines: async () => (await readFile(file, "utf8")).trim().split("\n"),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

describe("a revocation", () => {
  it("is of old tokens first, and then of attackers, the same for the same seed", async () => {
    await using one = await startRevoking();
    await using other = await startRevoking();
    const names = places.slice(0, 20).map(() => one.revocations.next(7, nowMs));
    expect(names).toEqual(places.slice(0, 20).map(() => other.revocations.next(7, nowMs)));
    expect(await one.lines()).toEqual(await other.lines());
    expect(names[0]).toBe("all");
    for (const name of names.slice(1)) expect(attackers.map(nameOf)).toContain(name);
  });

  it("ends what was issued up to it, a while after it is told, and does so for its satellite alone", async () => {
    await using one = await startRevoking();
    one.revocations.next(7, nowMs);
    const name = one.revocations.next(7, nowMs);
    const endOf = (identity: (typeof attackers)[number], issuedMs: number) =>
      one.revocations.endOf({ identity, issuedMs, expiresMs: Number.POSITIVE_INFINITY });
    for (const identity of attackers) {
      const isMeant = nameOf(identity) === name;
      expect(endOf(identity, nowMs)).toBe(isMeant ? nowMs + revokedWithinMs : Number.POSITIVE_INFINITY);
      expect(endOf(identity, nowMs + 1)).toBe(Number.POSITIVE_INFINITY);
      expect(endOf(identity, nowMs - 86_400_000)).toBe(nowMs + revokedWithinMs);
    }
  });
});

describe("what a connection has shown", () => {
  const shown = issuer.issue(identity);

  it("lets it in as who it is, until its token and the grace are over", async () => {
    await using run = await startRevoking();
    const standing = new Standing(run.revocations);
    expect(standing.mayEnter).toBe(false);
    expect(standing.show(shown, nowMs)).toBeUndefined();
    expect(standing.mayEnter).toBe(true);
    expect(standing.mayBe(identity)).toBe(true);
    expect(standing.mayBe({ role: "vendor", id: "bystander" })).toBe(false);
    expect(standing.overMs).toBe(shown.expiresMs + tokenGraceMs);
  });

  it("is worth nothing where it has a fault, or is revoked", async () => {
    await using run = await startRevoking();
    const standing = new Standing(run.revocations);
    expect(standing.show({ ...shown, fault: "no signature" }, nowMs)).toBe("no signature");
    run.revocations.next(7, nowMs);
    const old = { ...shown, issuedMs: nowMs - 86_400_000 };
    expect(standing.show(old, nowMs + revokedWithinMs)).toBe("revoked");
    expect(standing.mayEnter).toBe(false);
    expect(standing.show(old, nowMs)).toBeUndefined(); // the hub may not have looked yet
    expect(standing.overMs).toBe(nowMs + revokedWithinMs);
  });

  it("is everything in open mode, for ever", async () => {
    await using run = await startRevoking();
    const standing = new Standing(run.revocations, [believed(undefined)]);
    expect(standing.mayBe(identity)).toBe(true);
    expect(standing.overMs).toBe(Number.POSITIVE_INFINITY);
  });
});
