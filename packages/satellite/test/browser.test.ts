import { fileURLToPath } from "node:url";
import { build } from "esbuild";

it("goes into a browser bundle: no module of Node's is imported", async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [fileURLToPath(new URL("../src/index.ts", import.meta.url))],
    bundle: true,
    platform: "browser",
    format: "esm",
    conditions: ["@orrery/source"],
    minify: true,
    write: false,
    metafile: true,
  });
  const externals = Object.values(metafile.outputs).flatMap(({ imports }) =>
    imports.filter(({ external }) => external),
  );
  expect(externals).toEqual([]);
  expect(outputFiles[0]?.contents.length).toBeGreaterThan(10_000);
});
