// The hub's process with a key, from the command line's token to its revocation.
import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parcels } from "@orrery/contracts/parcels";
import { type Credentials, connect, type Status } from "@orrery/satellite";
import { developmentKey, signToken } from "@orrery/tokens";
import { addRevocation } from "../src/revocations.ts";
import { runHub, temporaryDirectory } from "./hub-child.ts";
import { runOrrery } from "./orrery-child.ts";

const parcel = { parcelId: "p-1", vendorId: "acme", customer: { city: "Recife", state: "PE" } };

/** A hub in a directory of its own, with `ORRERY_DEV_KEY` there. */
async function started(environment: Readonly<Record<string, string>> = {}) {
  const directory = await temporaryDirectory();
  const keyFile = join(directory.path, "dev-key.json");
  const variables = { HUB_DATA: directory.path, ORRERY_DEV_KEY: keyFile, ...environment };
  const hub = runHub(variables);
  return {
    directory: directory.path,
    hub,
    keyFile,
    variables,
    sign: async (satellite: string, nowMs = Date.now()) =>
      signToken(
        await developmentKey(keyFile),
        { satellite, contract: parcels.name, lifetimeMs: 3_600_000 },
        nowMs,
      ),
    orrery: (...words: string[]) => runOrrery(words, { cwd: directory.path, ...variables }),
    async [Symbol.asyncDispose]() {
      await hub[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** A satellite, closed at the end of its test. `becomes`: resolves with the code, if there is one. */
function satellite(url: string, credentials: Credentials<typeof parcels>) {
  const seen: [Status, string | undefined][] = [];
  const looking = new Set<() => void>();
  const made = connect(parcels, {
    url,
    ...credentials,
    onStatus(status, reason) {
      seen.push([status, reason?.code]);
      for (const look of looking) look();
    },
  });
  return Object.assign(made, {
    becomes: (wanted: Status) =>
      new Promise<string | undefined>((resolve) => {
        const look = () => {
          const found = seen.find(([status]) => status === wanted);
          if (found !== undefined) resolve(found[1]);
        };
        looking.add(look);
        look();
      }),
    [Symbol.asyncDispose]: () => made.close({ drainMs: 0 }),
  });
}

describe("the hub's process with a key", () => {
  it("takes who has a token of the command line, and nobody else, and never prints the key", async () => {
    await using at = await started();
    const url = await at.hub.url();
    const { stdout } = await at.orrery("token", "vendor:acme");
    const token = stdout.trim();
    await using vendor = satellite(url, { token });
    expect(await vendor.emit("pickup", parcel)).toMatchObject({ offset: 1 });
    await using stranger = satellite(url, { role: "vendor", id: "acme" });
    expect(await stranger.becomes("refused")).toBeDefined();
    const printed = at.hub.lines.all.join("\n");
    expect(printed).toMatch(/"mode":"tokens".*the hub listens/);
    const { d, x } = (await developmentKey(at.keyFile)).jwk;
    for (const secret of [d, x, token]) expect(printed).not.toContain(secret);
  });

  it("ends whose tokens are revoked, at once and after a restart, and takes tokens that are newer", async () => {
    await using at = await started();
    const url = await at.hub.url();
    const token = await at.sign("vendor:acme");
    await using acme = satellite(url, { token: () => token });
    await using globex = satellite(url, { token: await at.sign("vendor:globex") });
    await Promise.all([acme.ready(), globex.ready()]);
    expect((await at.orrery("revoke", "vendor:acme")).code).toBe(0);
    expect(await acme.becomes("refused")).toBe("TOKEN_REVOKED");
    await using renewed = satellite(url, { token: await at.sign("vendor:acme", Date.now() + 1_000) });
    await renewed.ready();
    expect(globex.status).toBe("online");
    at.hub.send("SIGTERM");
    expect(await at.hub.ended).toBe(0);

    await using again = runHub(at.variables);
    await using late = satellite(await again.url(), { token });
    expect(await late.becomes("refused")).toBe("TOKEN_REVOKED");
    await addRevocation(join(at.directory, "revoked.json"), { issuedBefore: Date.now() });
    await using everybody = satellite(await again.url(), {
      token: await at.sign("vendor:globex", Date.now() - 1_000),
    });
    expect(await everybody.becomes("refused")).toBe("TOKEN_REVOKED");
  });

  it("goes on, and says so, where the file of revocations is broken", async () => {
    await using at = await started();
    const url = await at.hub.url();
    await appendFile(join(at.directory, "revoked.json"), "half a li\n");
    await at.hub.lines.seen(/a line of the revocations is none/);
    await using vendor = satellite(url, { token: await at.sign("vendor:acme") });
    await vendor.ready();
    await addRevocation(join(at.directory, "revoked.json"), { issuedBefore: Date.now() });
    expect(await vendor.becomes("refused")).toBe("TOKEN_REVOKED");
  });

  it("serves other machines with a key of its own, and warns where nothing is encrypted", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "key.json");
    const { d: _, ...publicJwk } = (await developmentKey(join(directory.path, "pair.json"))).jwk;
    await writeFile(file, JSON.stringify(publicJwk));
    await using hub = runHub({ HUB_DATA: directory.path, HUB_KEY: file, HUB_HOST: "0.0.0.0" });
    await hub.url();
    await hub.lines.seen(/"level":40.*not encrypted/);
    expect(hub.lines.matching(/"mode":"tokens"/)).toHaveLength(1);
  });
});

it.each<[string, Readonly<Record<string, string>>, RegExp]>([
  ["a key that is not there", { HUB_KEY: "/no/such/key.json" }, /There is no key file \/no\/such\/key\.json/],
  ["a key that is none", { HUB_KEY: "broken.json" }, /A key is a JSON Web Key/],
  ["certificates that are not there", { HUB_TLS_CERT: "/no/cert", HUB_TLS_KEY: "/no/key" }, /HUB_TLS_CERT/],
])("does not start with %s, and leaves no log behind", async (_name, environment, message) => {
  await using directory = await temporaryDirectory();
  const broken = join(directory.path, "broken.json");
  await writeFile(broken, '{"kty":"oct","k":"c2VjcmV0"}');
  const data = join(directory.path, "data");
  const { HUB_KEY: key, ...others } = environment;
  await using hub = runHub({
    HUB_DATA: data,
    ...others,
    ...(key !== undefined && { HUB_KEY: key === "broken.json" ? broken : key }),
  });
  expect(await hub.ended).toBe(78);
  expect(hub.lines.all.join("\n")).toMatch(message);
  expect(hub.lines.all.join("\n")).not.toContain("c2VjcmV0");
  await mkdir(data); // it is not there yet
});
