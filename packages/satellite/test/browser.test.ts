import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parcels } from "@orrery/contracts/parcels";
import { startHub } from "@orrery/hub-core/testing";
import { build } from "esbuild";
import { type BrowserContext, chromium, type Page } from "playwright-core";

/** A page's script: a vendor whose outbox is in IndexedDB. */
const script = `
  import { parcels } from "@orrery/contracts/parcels";
  import { connect } from "./src/index.ts";
  const heard = [];
  window.start = (url) => {
    window.vendor = connect(parcels, { url, role: "vendor", id: "acme", outbox: { indexedDb: "outbox" } });
    window.vendor.on("pickup", ({ parcelId }) => heard.push(parcelId));
  };
  window.say = (parcelId) => {
    window.vendor.emit("pickup", { parcelId, vendorId: "acme", customer: { city: "Recife", state: "PE" } }, { id: parcelId });
  };
  window.heard = heard;
  const stored = () => new Promise((resolve) => {
    const opening = indexedDB.open("outbox");
    opening.onsuccess = () => {
      const counting = opening.result.transaction("entries").objectStore("entries").count();
      counting.onsuccess = () => { opening.result.close(); resolve(counting.result); };
    };
  });
  window.untilStored = async (count) => { while ((await stored()) !== count); };
`;

async function bundle() {
  return build({
    stdin: { contents: script, resolveDir: fileURLToPath(new URL("..", import.meta.url)) },
    bundle: true,
    platform: "browser",
    format: "esm",
    conditions: ["@orrery/source"],
    minify: true,
    write: false,
    metafile: true,
  });
}

it("goes into a browser bundle: no module of Node's is imported", async () => {
  const { outputFiles, metafile } = await bundle();
  const externals = Object.values(metafile.outputs).flatMap(({ imports }) =>
    imports.filter(({ external }) => external),
  );
  expect(externals).toEqual([]);
  expect(outputFiles[0]?.contents.length).toBeGreaterThan(10_000);
});

const executablePath = "/usr/bin/chromium";
// Debian's package chromium. In CI it is installed, so there it may not be missing.
const inBrowser = existsSync(executablePath) || process.env.CI ? describe : describe.skip;

inBrowser("in a browser", () => {
  let directory = "";
  let context: BrowserContext;
  let pageUrl = "";
  let bundled = "";
  const server = createServer((request, response) => {
    if (request.url === "/page.js") {
      response.setHeader("content-type", "text/javascript").end(bundled);
    } else {
      response.setHeader("content-type", "text/html").end('<script type="module" src="/page.js"></script>');
    }
  });

  beforeAll(async () => {
    bundled = (await bundle()).outputFiles[0]?.text ?? "";
    directory = await mkdtemp(join(tmpdir(), "orrery-chromium-"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    pageUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
    context = await chromium.launchPersistentContext(directory, {
      executablePath,
      headless: true,
      args: [...args, "--disable-background-networking", "--disable-component-update"],
    });
  });
  afterAll(async () => {
    await context.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(directory, { recursive: true, force: true });
  });

  const open = async (hubUrl: string): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(pageUrl, { waitUntil: "load" });
    await page.evaluate(`window.start(${JSON.stringify(hubUrl)})`);
    return page;
  };

  it("a page says and hears; what it could not say before it was closed, the next one says first, once", async () => {
    await using hub = await startHub({ contracts: [parcels] });
    const first = await open(hub.url);
    await first.evaluate('window.say("a")');
    await first.waitForFunction("window.heard.length === 1");
    await hub.stop();
    await first.evaluate('["b", "c", "d"].forEach(window.say)');
    await first.evaluate("window.untilStored(3)"); // not waitForFunction: it takes a promise for true
    await first.close();

    await hub.start();
    const second = await open(hub.url);
    await second.evaluate('window.say("e")');
    await second.waitForFunction('window.heard.includes("e")');
    await second.evaluate("window.untilStored(0)");
    const { events } = await hub.log.read({ after: 0 });
    expect(events.map(({ key }) => key)).toEqual(["a", "b", "c", "d", "e"]);
    await second.close();
    server.closeAllConnections(); // browsers keep some open
  });
});
