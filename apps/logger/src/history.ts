import { readFile, rename, writeFile } from "node:fs/promises";
import { z } from "zod";

const History = z.object({ epoch: z.string().min(1), fromByte: z.int().min(0) });

/** Which log a file's lines are from: those from `fromByte` on are from the log with this epoch. */
export type History = z.infer<typeof History>;

/** Undefined where there is no such file, or none that can be understood. */
export async function readHistory(path: string): Promise<History | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  try {
    return History.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The file is there as a whole, as it was or as it is to be, whenever the process is killed. */
export async function writeHistory(path: string, history: History): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(history));
  await rename(`${path}.new`, path);
}
