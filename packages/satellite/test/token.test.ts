import { renewInMs } from "../src/token.ts";
import { tokenOf } from "./tokens.ts";

const nowMs = 1_800_000_000_000;
const hourMs = 3_600_000;
/** A token that was issued so long ago, and lives for so long. */
const lived = (agoMs: number, wholeMs: number) =>
  tokenOf({ issuedMs: nowMs - agoMs, expiresMs: nowMs - agoMs + wholeMs });

describe("a token is renewed", () => {
  it.each([
    ["a fifth of its lifetime before its end", lived(0, hourMs), 0.8 * hourMs],
    ["then also where it was issued a while ago", lived(hourMs / 2, hourMs), 0.3 * hourMs],
    ["5 s before its end where a fifth is less", lived(0, 20_000), 15_000],
    ["half-way where it lives for some seconds only", lived(0, 4_000), 2_000],
    ["a little later where it is about to end", lived(hourMs - 1, hourMs), 1_000],
    ["a little later where it hardly lives", lived(0, 100), 1_000],
    ["once a day where it lives for months", lived(0, 100 * 24 * hourMs), 24 * hourMs],
    ["by its lifetime where the clock here is fast", lived(5 * hourMs, hourMs), 0.8 * hourMs],
    ["by its lifetime where the clock here is slow", lived(-5 * hourMs, hourMs), 0.8 * hourMs],
    [
      "by what is left where it does not say when it was issued",
      tokenOf({ issuedMs: null, expiresMs: nowMs + hourMs }),
      0.8 * hourMs,
    ],
  ])("%s", (_name, token, inMs) => {
    expect(renewInMs(token, nowMs)).toBeCloseTo(inMs, 0);
  });

  it.each([
    ["does not say when it ends", tokenOf({ expiresMs: null })],
    ["says so by something else than a time", `a.${btoa('{"exp":"tomorrow"}')}.c`],
    ["says nothing", `a.${btoa("null")}.c`],
    ["is no JSON", `a.${btoa("{")}.c`],
    ["is no base64url", "a.%.c"],
    ["is opaque", "opaque"],
    ["is empty", ""],
  ])("never where it %s", (_name, token) => {
    expect(renewInMs(token, nowMs)).toBeUndefined();
  });
});
