// What the README and docs/protocol.md show is tried here, as it stands.
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { errors } from "@orrery/contracts";
import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { runMain } from "@orrery/process/testing";
import { connect } from "@orrery/satellite";
import { developmentKey, tokenSource } from "@orrery/tokens";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { temporaryDirectory } from "./hub-child.ts";
import { runOrrery } from "./orrery-child.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const blocks = (text: string, language: string) =>
  [...text.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, "g"))].map(([, block = ""]) => block);

it("the README's first satellite runs", async () => {
  const readme = await readFile(path("../../../README.md"), "utf8");
  const [first = ""] = blocks(readme, "ts");
  const [, words = ""] =
    /TOKEN=\$\(npx orrery (.*)\) npx tsx --conditions=@orrery\/source first\.ts/.exec(readme) ?? [];
  await using directory = await temporaryDirectory();
  const keyFile = join(directory.path, ".orrery/dev-key.json");
  const { stdout: token } = await runOrrery(words.split(" "), { cwd: directory.path });
  await using hub = await startHub({ contracts: [parcels], keys: await developmentKey(keyFile) });
  const tokens = await tokenSource({ ORRERY_DEV_KEY: keyFile }, parcels.name);
  const driver = connect(parcels, { url: hub.url, ...tokens.credentialsOf({ role: "driver", id: "d1" }) });
  driver.on("pickup", async (parcel) => {
    await driver.emit("delivered", { ...parcel, driverId: "d1", deliveredAt: new Date().toISOString() });
  });
  await driver.ready();

  expect(first).toContain("http://127.0.0.1:4170");
  expect(first.trim().split("\n").length).toBeLessThanOrEqual(10);
  const out = path("../out/readme");
  await mkdir(out, { recursive: true });
  await writeFile(`${out}/first.ts`, first.replace("http://127.0.0.1:4170", hub.url));
  const running = promisify(execFile)(
    process.execPath,
    ["--conditions=@orrery/source", "--import", "tsx", `${out}/first.ts`],
    { env: { PATH: process.env.PATH, TOKEN: token.trim() } },
  );
  let output = "";
  const thanked = new Promise<void>((resolve) => {
    running.child.stdout?.on("data", (chunk) => {
      output += chunk;
      if (output.includes("Thank you")) resolve();
    });
  });
  await Promise.race([thanked, running]);
  running.child.kill();
  await running.catch(() => undefined); // ended by the signal
  expect(output).toMatch(/On disk, at offset 1\.\n/);
  expect(output).toMatch(/Thank you, d1: first-\d+ is there\./);
  await driver.close();
  await rm(out, { recursive: true });
});

it("the README's own contract has a hub that runs, takes an event, and ends upon Ctrl-C", async () => {
  const found = blocks(await readFile(path("../../../README.md"), "utf8"), "ts");
  const [contract = ""] = found.filter((block) => block.includes("defineContract("));
  const [program = ""] = found.filter((block) => block.includes("openSqliteLog("));
  const out = path("../out/readme-shop");
  await mkdir(out, { recursive: true });
  await writeFile(`${out}/shop.ts`, contract);
  expect(program).toContain("port: 4171");
  await writeFile(`${out}/hub.ts`, program.replace("port: 4171", "port: 0").replace("./.orrery", out));
  await using hub = runMain(pathToFileURL(`${out}/hub.ts`), {});
  const listens = /^The shop's hub listens at (.*)$/;
  await Promise.race([hub.lines.seen(listens), hub.ended]);
  const url = listens.exec(hub.lines.all.join("\n"))?.[1];
  const till = io(`${url}/shop`, { auth: { role: "till", id: "1" }, reconnection: false });
  const receipt = await till.emitWithAck("ordered", { orderId: "o-1", tableId: "7" });
  expect(receipt).toMatchObject({ ok: true, offset: 1 });
  till.disconnect();
  hub.send("SIGINT");
  expect(await hub.ended).toBe(0);
  await rm(out, { recursive: true });
});

it("docs/protocol.md lists every code as it is", async () => {
  const text = await readFile(path("../../../docs/protocol.md"), "utf8");
  const rows = Object.entries(errors).map(
    ([code, { message, retryable, remedy }]) =>
      `| \`${code}\` | ${message} | ${retryable ? "yes" : "no"} | ${remedy} |`,
  );
  expect(text.slice(text.indexOf("## Codes")).trim().split("\n").slice(3)).toEqual(rows);
});

it("the transcript in docs/protocol.md is what crosses the wire, frame by frame", async () => {
  const transcripts = blocks(await readFile(path("../../../docs/protocol.md"), "utf8"), "text");
  expect(transcripts.length).toBe(2);
  await using hub = await startHub({ contracts: [parcels] });
  for (const transcript of transcripts) {
    const socket = new WebSocket(`${hub.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    const received: string[] = [];
    let wake: () => void = () => undefined;
    socket.on("message", (frame) => {
      received.push((frame as Buffer).toString());
      wake();
    });
    const opened = new Promise((resolve) => socket.on("open", resolve));
    await opened;
    for (const line of transcript.trim().split("\n")) {
      const frame = line.slice(2);
      if (line.startsWith("> ")) {
        socket.send(frame);
        continue;
      }
      while (received.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      expect(generalised(received.shift() as string)).toBe(frame);
    }
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.close();
    await closed;
  }
});

/** With `…` for what differs each time: socket ids, times, the log's epoch. */
const generalised = (frame: string): string =>
  frame
    .replace(/"sid":"[^"]+"/, '"sid":"…"')
    .replace(/"time":"[^"]+"/g, '"time":"…"')
    .replace(/"cursor":"[^":]+:/, '"cursor":"…:');
