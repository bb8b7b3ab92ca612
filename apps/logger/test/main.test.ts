import { existsSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { runMain } from "@orrery/process/testing";
import { developmentKey, signToken } from "@orrery/tokens";
import { publish } from "./publisher.ts";
import { temporaryFile } from "./temporary-file.ts";

const main = new URL("../src/main.ts", import.meta.url);

const onLinux = existsSync("/dev/full") ? it : it.skip;

describe("the logger's process", () => {
  it("has every event once and in order, however often it is killed", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using file = await temporaryFile();
    await using acme = publish(hub.url);
    const env = { HUB_URL: hub.url, LOGGER_FILE: file.path };
    let isSaying = true;
    const saying = (async () => {
      for (let round = 0; isSaying; round += 1) await acme.pickups(`r${round}`, 20);
    })();
    for (const lines of [1, 100, 300]) {
      await using killed = runMain(main, env);
      await killed.lines.seen(/pickup/, lines);
      killed.send("SIGKILL");
      await killed.ended;
    }
    isSaying = false;
    await saying;
    await acme.pickups("last", 1);
    await using logger = runMain(main, env);
    await logger.lines.seen(/last-0/);
    logger.send("SIGTERM");
    expect(await logger.ended).toBe(0);
    const offsets = (await file.lines()).map(({ meta }) => meta.offset);
    expect(offsets).toEqual(Array.from({ length: hub.log.head }, (_, place) => place + 1));
  }, 120_000); // many processes, one after the other: some 8 s on an idle machine

  it("colours its lines where it is asked to, and not where it is no terminal", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using file = await temporaryFile();
    await using acme = publish(hub.url);
    await acme.pickups("p", 1);
    const lineWith = async (env: Record<string, string>, name: string) => {
      await using logger = runMain(main, { HUB_URL: hub.url, LOGGER_FILE: `${file.path}-${name}`, ...env });
      await logger.lines.seen(/pickup/);
      return logger.lines.matching(/pickup/)[0];
    };
    expect(await lineWith({ FORCE_COLOR: "1" }, "forced")).toContain("\u001b[36mpickup");
    expect(await lineWith({}, "plain")).toMatch(/^\d\d:\d\d:\d\d\.\d{3} pickup {6}p-0 vendor:acme$/);
  });

  it("shows who it is by a token of its own making, or by one in a file", async () => {
    await using file = await temporaryFile();
    const keyFile = `${file.directory}/key.json`;
    const key = await developmentKey(keyFile);
    await using hub = await startHub({ contracts: [parcels], keys: key });
    const claims = { satellite: "logger:l7", contract: parcels.name, lifetimeMs: 60_000 };
    await writeFile(`${file.directory}/token`, await signToken(key, claims));
    const env = { HUB_URL: hub.url, LOGGER_FILE: file.path };
    await using own = runMain(main, { ...env, ORRERY_DEV_KEY: keyFile });
    await using given = runMain(main, {
      ...env,
      LOGGER_FILE: `${file.path}-2`,
      SATELLITE_TOKEN_FILE: `${file.directory}/token`,
    });
    await own.lines.seen(/^connected$/);
    await given.lines.seen(/^connected$/);
    await using parcel = runMain(main, { ...env, ORRERY_DEV_KEY: keyFile, LOGGER_PARCEL: "p-1" });
    expect(await parcel.ended).toBe(0);
  });

  it("ends with code 78 where its one token is somebody else's", async () => {
    await using file = await temporaryFile();
    const claims = { satellite: "vendor:acme", contract: parcels.name, lifetimeMs: 60_000 };
    const token = await signToken(await developmentKey(`${file.directory}/key.json`), claims);
    await using logger = runMain(main, { SATELLITE_TOKEN: token, LOGGER_FILE: file.path });
    expect(await logger.ended).toBe(78);
    expect(logger.lines.all.join()).toContain("vendor:acme's, and logger:acme needs one");
  });

  onLinux("ends with code 1 and says why when the file cannot be written", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    await using file = await temporaryFile();
    await using acme = publish(hub.url);
    await acme.pickups("p", 1);
    await mkdir(dirname(file.path));
    await symlink("/dev/full", file.path); // the disk that is always full
    await using logger = runMain(main, { HUB_URL: hub.url, LOGGER_FILE: file.path });
    expect(await logger.ended).toBe(1);
    const said = logger.lines.all.join("\n");
    expect(said).toContain(`logger: Error: ${file.path} cannot be written, so the logger ends`);
    expect(said).toContain("ENOSPC");
    expect(logger.lines.matching(/^logger: /)).toHaveLength(1);
  });
});
