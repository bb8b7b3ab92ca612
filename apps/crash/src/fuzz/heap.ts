import { readFile } from "node:fs/promises";

/** As V8 writes a heap down: for each object so many numbers, of which these are looked at. */
interface Snapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[];
      readonly node_types: readonly [readonly string[]];
    };
  };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

/** How many objects of a class are in a heap that was written down: all that is not garbage. */
export async function objectsIn(file: string, className: string): Promise<number> {
  const { snapshot, nodes, strings }: Snapshot = JSON.parse(await readFile(file, "utf8"));
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [typeAt, nameAt] = [fields.indexOf("type"), fields.indexOf("name")];
  const [objectType, name] = [types[0].indexOf("object"), strings.indexOf(className)];
  let count = 0;
  for (let node = 0; node < nodes.length; node += fields.length) {
    if (nodes[node + nameAt] === name && nodes[node + typeAt] === objectType) count += 1;
  }
  return count;
}
