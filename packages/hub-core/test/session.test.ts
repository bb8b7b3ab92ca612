import { endOf, openSession, sessionOf } from "../src/session.ts";

const identity = { role: "vendor", id: "acme" };
const session = (revokedThroughMs = 0) =>
  sessionOf({ identity, issuedMs: 1_000, expiresMs: 5_000 }, 2_000, revokedThroughMs);

describe("a session", () => {
  it.each([
    ["goes on before its token runs out", session(), 4_999, undefined],
    ["goes on in the grace", session(), 6_999, undefined],
    ["is over after the grace", session(), 7_000, "TOKEN_EXPIRED"],
    ["is over when its token is revoked, at once", session(1_000), 1_001, "TOKEN_REVOKED"],
    ["is revoked rather than expired where it is both", session(1_000), 9_000, "TOKEN_REVOKED"],
    ["goes on when older tokens are revoked", session(999), 1_001, undefined],
    ["has no end in open mode", openSession, Number.MAX_SAFE_INTEGER, undefined],
  ])("%s", (_name, { ...state }, nowMs, end) => {
    expect(endOf(state, nowMs)).toBe(end);
  });

  it("ends at a time that can be said, whatever its token says", () => {
    const { expiresMs } = sessionOf({ identity, issuedMs: 0, expiresMs: Number.MAX_VALUE }, 0, 0);
    expect(new Date(expiresMs).toISOString()).toBe("9999-12-31T23:59:59.000Z");
  });
});
