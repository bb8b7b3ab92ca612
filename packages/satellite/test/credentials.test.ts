import { type ErrorCode, OrreryError } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { type Credentials, connect, type Status, type Token } from "../src/index.ts";
import { FakeHub } from "./fake-hub.ts";
import { tokenOf } from "./tokens.ts";
import { until } from "./waiting.ts";

/** A satellite at a hub that is the test's. `errors`: the code and the cause's, or its text. */
async function at(credentials: Credentials<Parcels>) {
  const hub = await FakeHub.start();
  const statuses: (Status | ErrorCode)[][] = [];
  const errors: unknown[][] = [];
  const satellite = connect(parcels, {
    url: hub.url,
    ...credentials,
    onStatus: (status, reason) => statuses.push(reason ? [status, reason.code] : [status]),
    onError(error) {
      const { code, cause } = error as OrreryError;
      errors.push([code, cause instanceof OrreryError ? cause.code : String(cause)]);
    },
  });
  return {
    hub,
    satellite,
    statuses,
    errors,
    tokens: () => hub.handshakes.map(({ token }) => token),
    becomes: (...status: string[]) => until(() => String(statuses.at(-1)) === String(status)),
    async [Symbol.asyncDispose]() {
      await satellite.close({ drainMs: 0 });
      await hub[Symbol.asyncDispose]();
    },
  };
}

/** Gives token-1, token-2, … */
const numbered = () => {
  let calls = 0;
  return Object.assign(async () => `token-${++calls}`, { calls: () => calls });
};

/** Waits until its test gives the token. */
function slow() {
  const waiting: ((token: string) => void)[] = [];
  return {
    token: () => new Promise<string>((resolve) => waiting.push(resolve)),
    asked: () => until(() => waiting.length > 0),
    give: (token: string) => waiting.splice(0).map((resolve) => resolve(token)).length,
  };
}

describe("a satellite shows who it is", () => {
  it.each<[string, Credentials<Parcels>, object]>([
    ["its role and id, in open mode", { role: "vendor", id: "acme" }, { role: "vendor", id: "acme" }],
    ["its token", { token: "token" }, { token: "token" }],
    ["what its token function gives", { token: () => "token" }, { token: "token" }],
    ["what that promises", { token: async () => "token" }, { token: "token" }],
  ])("by %s", async (_name, credentials, auth) => {
    await using one = await at(credentials);
    await one.satellite.ready();
    expect(one.hub.handshakes).toEqual([{ ...auth, protocol: 1 }]);
  });

  it("with a token of its own on each connection", async () => {
    await using one = await at({ token: numbered() });
    await one.satellite.ready();
    one.hub.cut();
    await one.hub.meets(2);
    await one.becomes("online");
    one.hub.cut();
    await one.hub.meets(3);
    expect(one.tokens()).toEqual(["token-1", "token-2", "token-3"]);
    expect(one.errors).toEqual([]);
  });

  it("once on each connection, also where the one before was lost while the token function was at it", async () => {
    const { token, asked, give } = slow();
    await using one = await at({ token });
    await asked();
    one.hub.cutNewest();
    await until(() => one.hub.connections === 0);
    await until(() => one.hub.connections === 1);
    await until(() => give("token") >= 0 && one.satellite.status === "online"); // asked once or twice
    one.satellite.on("delivered", () => undefined);
    await one.hub.hears("hub:listen");
    expect(one.tokens()).toEqual(["token"]);
    expect(one.statuses).toEqual([["offline"], ["online"]]); // a second handshake would end the connection
  });
});

describe("a token function", () => {
  it("is asked again in time before its token runs out, and the hub gets the new one on the same connection", async () => {
    let calls = 0;
    await using one = await at({
      token: () => tokenOf({ name: `${++calls}`, expiresMs: Date.now() + 2_000 }),
    });
    one.hub.answers["hub:renew"] = () => ({ ok: true, expires: "2030-01-01T00:00:00Z" });
    const { token } = await one.hub.hears("hub:renew");
    expect(one.tokens()).not.toContain(token);
    expect([one.hub.handshakes.length, calls, one.statuses, one.errors]).toEqual([1, 2, [["online"]], []]);
  });

  it("that fails when the satellite connects is asked again; no connection is held meanwhile", async () => {
    const next = numbered();
    let failures = 2;
    await using one = await at({
      token() {
        if (failures-- > 0) throw new Error("no issuer");
        return next();
      },
    });
    await until(() => one.errors.length === 1);
    await until(() => one.hub.connections === 0);
    await one.satellite.ready();
    expect(one.errors).toEqual(Array(2).fill(["TOKEN_UNAVAILABLE", "Error: no issuer"]));
    expect(one.tokens()).toEqual(["token-1"]);
    expect(one.statuses).toEqual([["online"]]);
  });

  it("gives the next connection its token when the hub ends one because its token has run out", async () => {
    await using one = await at({ token: numbered() });
    await one.satellite.ready();
    one.hub.dismiss("TOKEN_EXPIRED");
    await one.becomes("offline", "TOKEN_EXPIRED");
    await one.becomes("online");
    expect(one.tokens()).toEqual(["token-1", "token-2"]);
    expect(one.errors).toEqual([]);
  });

  it("that gives an old token is told so, and asked again", async () => {
    const give = numbered();
    await using one = await at({ token: give });
    one.hub.refusals.push("TOKEN_EXPIRED", "KEYS_UNAVAILABLE");
    await one.satellite.ready();
    expect(one.tokens()).toEqual(["token-1", "token-2", "token-3"]);
    expect(one.errors).toEqual([["TOKEN_UNAVAILABLE", "TOKEN_EXPIRED"]]);
    expect(one.statuses).toEqual([
      ["connecting", "TOKEN_EXPIRED"],
      ["connecting", "KEYS_UNAVAILABLE"],
      ["online"],
    ]);
  });

  it("is not asked any more when the satellite is closed, and what it gives then is not used", async () => {
    const { token, asked, give } = slow();
    await using one = await at({ token });
    await asked();
    await one.satellite.close();
    give("late");
    await until(() => one.hub.connections === 0);
    expect([one.hub.handshakes, one.errors, one.statuses]).toEqual([[], [], [["closed"]]]);
  });
});

describe("a satellite is refused for good", () => {
  const both: [string, () => Token][] = [
    ["a token function", numbered],
    ["a fixed token", () => "token-1"],
  ];
  const finals = ["TOKEN_INVALID", "TOKEN_REVOKED"] as const;
  it.each(both.flatMap(([name, token]) => finals.map((code) => ({ name, token, code }))))(
    "with $code, when it connects and later, with $name",
    async ({ token, code }) => {
      await using early = await at({ token: token() });
      early.hub.refusals.push(code);
      await expect(early.satellite.ready()).rejects.toMatchObject({ code });
      await using late = await at({ token: token() });
      await late.satellite.ready();
      late.hub.dismiss(code);
      await late.becomes("refused", code);
      expect([early.tokens(), late.tokens()]).toEqual([["token-1"], ["token-1"]]);
      expect([...early.errors, ...late.errors]).toEqual([]);
    },
  );

  it("when its fixed token has run out", async () => {
    await using early = await at({ token: "token" });
    early.hub.refusals.push("TOKEN_EXPIRED");
    await expect(early.satellite.ready()).rejects.toMatchObject({ code: "TOKEN_EXPIRED" });
    await using late = await at({ token: tokenOf({ expiresMs: Date.now() }) });
    await late.satellite.ready();
    late.hub.dismiss("TOKEN_EXPIRED");
    await late.becomes("refused", "TOKEN_EXPIRED");
    expect(late.hub.heard("hub:renew")).toEqual([]);
  });
});

/** Compiled, never run: each function is a claim about types. */
const claims = {
  "either a role and an id, or a token": (url: string, token: Token) => {
    connect(parcels, { url, role: "vendor", id: "acme" });
    connect(parcels, { url, token });
    connect(parcels, { url, token: "token" });
    connect(parcels, { url, token: () => "token" });
    connect(parcels, { url, token: async () => "token", from: "start" });
  },
  "not neither, half of one, or both": (url: string, token: Token) => {
    // @ts-expect-error: neither
    connect(parcels, { url });
    // @ts-expect-error: a role alone
    connect(parcels, { url, role: "vendor" });
    // @ts-expect-error: both
    connect(parcels, { url, role: "vendor", id: "acme", token });
    // @ts-expect-error: both, by half
    connect(parcels, { url, id: "acme", token });
  },
  "nothing else": (url: string) => {
    // @ts-expect-error: no such role
    connect(parcels, { url, role: "vendro", id: "acme" });
    // @ts-expect-error: perhaps none
    connect(parcels, { url, token: process.env.TOKEN });
    // @ts-expect-error: no text
    connect(parcels, { url, token: async () => ({ token: "token" }) });
  },
};

it("the compiler refuses credentials that are none", () => {
  expect(Object.keys(claims)).toHaveLength(3);
});
