import { errorBody, OrreryError, type RenewReply } from "@orrery/contracts";
import { TokenKeeper } from "../src/token-keeper.ts";
import { tokenOf } from "./tokens.ts";
import { turn } from "./waiting.ts";

const hourMs = 3_600_000;
/** How long the token function may take. */
const askMs = 30_000;
const taken: RenewReply = { ok: true, expires: "2030-01-01T00:00:00Z" };

/**
 * A keeper whose time stands still until the test lets it `pass`. `give` and `renew` are asked with the number of the call, 1
 * first.
 */
function keeperOf(give: (call: number) => unknown, renew: (call: number) => unknown = () => taken) {
  let nowMs = 1_800_000_000_000;
  let calls = 0;
  const pauses: { readonly ms: number; readonly end: () => void }[] = [];
  const renewed: string[] = [];
  const errors: OrreryError[] = [];
  const keeper = new TokenKeeper({
    give: async () => (await give(++calls)) as string,
    renew: async (token) => {
      renewed.push(token);
      return (await renew(renewed.length)) as RenewReply | undefined;
    },
    onError: (error) => errors.push(error),
    clock: {
      nowMs: () => nowMs,
      pause: (ms, signal) =>
        new Promise((resolve) => {
          const end = () => {
            signal.removeEventListener("abort", abort);
            resolve();
          };
          const pause = { ms, end };
          const abort = () => {
            pauses.splice(pauses.indexOf(pause), 1);
            end();
          };
          pauses.push(pause);
          signal.addEventListener("abort", abort);
        }),
    },
  });
  return {
    keeper,
    renewed,
    errors,
    calls: () => calls,
    causes: () => errors.map(({ code, cause }) => [code, (cause as OrreryError).code ?? String(cause)]),
    token: (livesMs = hourMs) => tokenOf({ issuedMs: nowMs, expiresMs: nowMs + livesMs }),
    /** What it waits for now; all that it can do by itself is done. */
    async waits(): Promise<number[]> {
      await turn();
      return pauses.map(({ ms }) => ms);
    },
    /** Lets the wait that is the only one end. */
    async pass(): Promise<void> {
      await turn();
      expect(pauses).toHaveLength(1);
      const { ms, end } = pauses.splice(0)[0] as (typeof pauses)[number];
      nowMs += ms;
      end();
      await turn();
    },
  };
}

async function connected(...[give, renew]: Parameters<typeof keeperOf>) {
  const at = keeperOf(give, renew);
  await at.keeper.show();
  at.keeper.begin();
  return at;
}

describe("the keeper of a satellite's token", () => {
  it("asks for a new one in time, hands it to the hub, and goes on so", async () => {
    const at: Awaited<ReturnType<typeof connected>> = await connected((call) =>
      tokenOf({ issuedMs: 1_800_000_000_000, expiresMs: 1_800_000_000_000 + call * hourMs }),
    );
    expect(await at.waits()).toEqual([0.8 * hourMs]);
    await at.pass();
    expect(at.renewed).toHaveLength(1);
    expect(await at.waits()).toEqual([0.8 * hourMs]); // of two hours 0.8 have gone, and 0.4 are the margin
    await at.pass();
    expect(at.renewed).toHaveLength(2);
    expect(at.errors).toEqual([]);
  });

  it("never asks again for one that does not say when it ends", async () => {
    const at = await connected(() => "opaque");
    expect(await at.waits()).toEqual([]);
    expect(at.calls()).toBe(1);
  });

  it("reports what the function throws, and tries again later each time, half a minute at most", async () => {
    let isBroken = false;
    const at: Awaited<ReturnType<typeof connected>> = await connected((call) => {
      if (isBroken) throw new Error("no issuer");
      return tokenOf({ issuedMs: 1_800_000_000_000, expiresMs: 1_800_000_000_000 + call * hourMs });
    });
    isBroken = true;
    await at.pass();
    const waited: number[] = [];
    for (let failure = 1; failure <= 8; failure += 1) {
      waited.push(...(await at.waits()));
      await at.pass();
    }
    for (const [place, ms] of waited.entries()) {
      const longestMs = Math.min(1_000 * 2 ** place, 30_000);
      expect(ms).toBeLessThanOrEqual(longestMs);
      expect(ms).toBeGreaterThanOrEqual(0.75 * longestMs);
    }
    expect(at.causes()).toEqual(Array(9).fill(["TOKEN_UNAVAILABLE", "Error: no issuer"]));
    isBroken = false;
    await at.pass();
    expect(at.renewed).toHaveLength(1);
    expect((await at.waits())[0]).toBeGreaterThan(hourMs);
  });

  it("reports what the hub refuses, and what it does not answer, and asks for another one", async () => {
    const answers = [
      () => ({ ok: false, error: errorBody("TOKEN_OF_ANOTHER") }),
      () => Promise.reject(new OrreryError("TIMEOUT")),
      () => taken,
    ];
    const at: Awaited<ReturnType<typeof connected>> = await connected(
      (call) => tokenOf({ issuedMs: 1_800_000_000_000, expiresMs: 1_800_000_000_000 + call * hourMs }),
      (call) => answers[call - 1]?.(),
    );
    for (let renewal = 1; renewal <= 3; renewal += 1) await at.pass();
    expect(at.causes()).toEqual([
      ["TOKEN_UNAVAILABLE", "TOKEN_OF_ANOTHER"],
      ["TOKEN_UNAVAILABLE", "TIMEOUT"],
    ]);
    expect(new Set(at.renewed).size).toBe(3);
    expect((await at.waits())[0]).toBeGreaterThan(hourMs);
    for (const token of at.renewed) expect(at.errors.map(String).join()).not.toContain(token);
  });

  it("hands over the same token again, when it may, where the hub refuses it for now, and reports nothing", async () => {
    const tooFast = (ms: number) => ({ ok: false, error: errorBody("RATE_LIMITED", undefined, ms) });
    const answers = [() => tooFast(5_000), () => tooFast(700), () => taken];
    const at: Awaited<ReturnType<typeof connected>> = await connected(
      (call) => tokenOf({ issuedMs: 1_800_000_000_000, expiresMs: 1_800_000_000_000 + call * hourMs }),
      (call) => answers[call - 1]?.(),
    );
    await at.pass();
    expect(await at.waits()).toEqual([5_000]);
    await at.pass();
    expect(await at.waits()).toEqual([700]);
    await at.pass();
    expect([at.renewed.length, new Set(at.renewed).size, at.calls()]).toEqual([3, 1, 2]);
    expect(at.errors).toEqual([]);
    expect((await at.waits())[0]).toBeGreaterThan(0.5 * hourMs);
  });

  it("hands over nothing more when the connection is lost while it waits for when it may", async () => {
    const at: Awaited<ReturnType<typeof connected>> = await connected(
      (call) => tokenOf({ issuedMs: 1_800_000_000_000, expiresMs: 1_800_000_000_000 + call * hourMs }),
      () => ({ ok: false, error: errorBody("RATE_LIMITED", undefined, 5_000) }),
    );
    await at.pass();
    at.keeper.lose();
    expect(await at.waits()).toEqual([]);
    expect([at.renewed.length, at.errors]).toEqual([1, []]);
  });

  it("does not bother the hub with the token that it has, and asks for another one later each time", async () => {
    const token = tokenOf({ issuedMs: 1_800_000_000_000, expiresMs: 1_800_000_000_000 + hourMs });
    const at = await connected(() => token);
    for (const failures of [1, 2, 3]) {
      await at.pass();
      expect((await at.waits())[0]).toBeLessThanOrEqual(1_000 * 2 ** (failures - 1));
    }
    expect([at.renewed, at.errors, at.calls()]).toEqual([[], [], 4]);
  });

  it("asks less and less often where new ones live no longer", async () => {
    const end = 1_800_000_000_000 + hourMs;
    const at = await connected((call) =>
      tokenOf({ name: `${call}`, issuedMs: end - hourMs, expiresMs: end }),
    );
    await at.pass();
    await at.pass();
    expect((await at.waits())[0]).toBeGreaterThan(1_000);
    expect([at.renewed.length, at.errors]).toEqual([2, []]);
  });

  it("gives up a function that does not answer, and asks again", async () => {
    const at = keeperOf((call) => (call === 1 ? new Promise(() => undefined) : at.token()));
    const shown = at.keeper.show().catch(({ code, cause }) => [code, cause.code]);
    expect(await at.waits()).toEqual([askMs]);
    await at.pass();
    expect(await shown).toEqual(["TOKEN_UNAVAILABLE", "TIMEOUT"]);
    expect(await at.keeper.show()).toBe(at.token());
  });

  it("asks once where the connection is lost and made again while the function is at it", async () => {
    let answer: (token: string) => void = () => undefined;
    const at = keeperOf(() => new Promise<string>((resolve) => (answer = resolve)));
    const both = Promise.all([at.keeper.show(), at.keeper.show()]);
    await turn();
    answer("token");
    expect(await both).toEqual(["token", "token"]);
    expect(at.calls()).toBe(1);
  });

  it("waits for nothing any more when the connection is lost, or over", async () => {
    const at: Awaited<ReturnType<typeof connected>> = await connected(() => tokenOf({ expiresMs: 4e12 }));
    at.keeper.lose();
    expect(await at.waits()).toEqual([]);
    at.keeper.begin();
    expect(await at.waits()).toHaveLength(1);
    at.keeper.begin(); // anew, and not twice
    expect(await at.waits()).toHaveLength(1);
    at.keeper.end();
    expect(await at.waits()).toEqual([]);

    const asking = keeperOf(() => new Promise(() => undefined));
    const shown = asking.keeper.show().catch(({ code }) => code);
    await turn();
    asking.keeper.end();
    expect(await asking.waits()).toEqual([]);
    expect(await shown).toBe("TOKEN_UNAVAILABLE");
  });
});
