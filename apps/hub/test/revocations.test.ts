import { appendFile, mkdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OrreryError } from "@orrery/contracts";
import { addRevocation, type Revocation, readRevocation } from "../src/revocations.ts";
import { watchRevocations } from "../src/watch-revocations.ts";
import { temporaryDirectory } from "./hub-child.ts";

const issuedBefore = Date.parse("2026-06-01T12:00:00Z");
const acme = { satellite: "vendor:acme", issuedBefore };
const all = { issuedBefore };

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** A watch on a file that is not there yet. `refuse`: what `revoke` rejects, with `error`. */
async function watched({
  refuse = () => false,
  error = new Error("the disk is full"),
}: {
  refuse?: (revocation: Revocation) => boolean;
  error?: Error;
} = {}) {
  const directory = await temporaryDirectory();
  const file = join(directory.path, "data/revoked.json");
  const asked: Revocation[] = [];
  const revoked: Revocation[] = [];
  const errors: string[] = [];
  const logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (_context: object, message: string) => void errors.push(message),
  };
  const start = () =>
    watchRevocations(
      file,
      async (revocation) => {
        asked.push(revocation);
        if (refuse(revocation)) throw error;
        revoked.push(revocation);
      },
      logger,
    );
  let watch = await start();
  return {
    file,
    asked,
    revoked,
    errors,
    restart: async () => {
      await watch.stop();
      watch = await start();
    },
    revokes: (count: number) => until(() => revoked.length >= count),
    async [Symbol.asyncDispose]() {
      await watch.stop();
      await directory[Symbol.asyncDispose]();
    },
  };
}

describe("a line of revocations", () => {
  it("is read as it was written, after one that was torn as well", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "revoked.json");
    await writeFile(file, '{"satellite":"ven');
    await addRevocation(file, acme);
    await addRevocation(file, all);
    const lines = (await readFile(file, "utf8")).split("\n");
    expect(lines.map(readRevocation)).toEqual([undefined, acme, all, undefined]);
  });

  it.each([
    "",
    "{",
    "null",
    "{}",
    '{"satellite":"acme","issuedBefore":"2026-06-01T12:00:00Z"}',
    '{"satelite":"vendor:acme","issuedBefore":"2026-06-01T12:00:00Z"}', // and not everybody's
    '{"issuedBefore":1748779200000}',
    '{"issuedBefore":"yesterday"}',
  ])("is not %j", (line) => {
    expect(readRevocation(line)).toBeUndefined();
  });
});

describe("a watch on revocations", () => {
  it("carries out what is there when it starts, and then what is added, each once", async () => {
    await using at = await watched();
    await addRevocation(at.file, acme);
    await at.revokes(1);
    await addRevocation(at.file, acme);
    await addRevocation(at.file, all);
    await at.revokes(2);
    expect(at.revoked).toEqual([acme, all]);
    await at.restart();
    expect(at.revoked).toEqual([acme, all, acme, all]);
    expect(at.errors).toEqual([]);
  });

  it("reports a broken line once, and carries out the others", async () => {
    await using at = await watched();
    await addRevocation(at.file, acme);
    await appendFile(at.file, "half a li\n");
    await at.revokes(1);
    await addRevocation(at.file, all);
    await at.revokes(2);
    expect(at.errors).toEqual(["a line of the revocations is none"]);
  });

  it("takes nothing back when lines, or the file, are gone, and goes on with those that come later", async () => {
    await using at = await watched();
    await addRevocation(at.file, acme);
    await at.revokes(1);
    await rm(at.file);
    await addRevocation(at.file, all);
    await at.revokes(2);
    expect([at.revoked, at.errors]).toEqual([[acme, all], []]);
  });

  it("reports a file that cannot be read, once, and reads it when it can be", async () => {
    await using at = await watched();
    await mkdir(at.file, { recursive: true });
    await until(() => at.errors.length > 0);
    await rmdir(at.file);
    await addRevocation(at.file, acme);
    await at.revokes(1);
    expect(at.errors).toEqual(["the revocations cannot be read"]);
  });

  it("tries again what the hub could not do, and reports that once", async () => {
    let failures = 3;
    await using at = await watched({ refuse: ({ satellite }) => satellite !== undefined && failures-- > 0 });
    await addRevocation(at.file, acme);
    await addRevocation(at.file, all);
    await at.revokes(2);
    expect(at.revoked).toEqual([all, acme]);
    expect(at.errors).toEqual(["tokens could not be revoked, and are tried again"]);
  });

  it("does not try again what the hub can never do, and reports that once", async () => {
    const error = new OrreryError("CONFIG_INVALID", { detail: "Not a satellite's name: foo:a." });
    const foo = { satellite: "foo:a", issuedBefore };
    await using at = await watched({ refuse: ({ satellite }) => satellite === foo.satellite, error });
    await addRevocation(at.file, foo);
    await addRevocation(at.file, acme);
    await at.revokes(1);
    await addRevocation(at.file, all);
    await at.revokes(2);
    expect([at.asked, at.revoked]).toEqual([
      [foo, acme, all],
      [acme, all],
    ]);
    expect(at.errors).toEqual(["a line of the revocations is refused"]);
  });
});
