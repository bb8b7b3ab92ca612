import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { objectsIn } from "../../src/fuzz/heap.ts";

it("counts the objects of a class in a heap that was written down, not what else has its name", async () => {
  const directory = await mkdtemp(join(tmpdir(), "orrery-crash-test-"));
  try {
    const file = join(directory, "Heap.heapsnapshot");
    const meta = { node_fields: ["type", "name", "id"], node_types: [["hidden", "object", "closure"]] };
    const nodes = [1, 1, 10, 2, 1, 11, 1, 0, 12, 1, 1, 13, 0, 1, 14];
    await writeFile(file, JSON.stringify({ snapshot: { meta }, nodes, strings: ["Socket", "Client"] }));
    expect(await objectsIn(file, "Client")).toBe(2);
    expect(await objectsIn(file, "Socket")).toBe(1);
    expect(await objectsIn(file, "Nobody")).toBe(0);
  } finally {
    await rm(directory, { recursive: true });
  }
});
