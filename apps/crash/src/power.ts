import { execFile } from "node:child_process";
import { copyFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export interface Power {
  /** For the process whose files are to survive, or not. */
  readonly environment: Readonly<Record<string, string>>;
  /**
   * Once the process is gone: puts every file back to what was last synced, and removes those that never were. So where
   * syncs are not seen, everything is lost.
   */
  lose(): Promise<void>;
}

export interface PowerOptions {
  /** An absolute path without symbolic links. Only its own files are looked at, not those of directories in it. */
  readonly directory: string;
  /** Where the library is made that watches the syncs; another directory. */
  readonly libraryDirectory: string;
  /** How many syncs each life of the process gets; what it syncs after them does not reach the disk. Default: all. */
  readonly syncs?: number;
}

const source = fileURLToPath(new URL("./synced-copy.c", import.meta.url));
const copy = ".synced";
/** SQLite's shared memory is made anew from the log beside it, and is not to be believed after a crash. */
const memory = "-shm";

/**
 * Simulates power losses for a process: what it has written but not synced is gone. Linux only, and needs `cc`; rejects
 * elsewhere.
 */
export async function preparePower({ directory, libraryDirectory, syncs }: PowerOptions): Promise<Power> {
  if (process.platform !== "linux") throw new Error("A power loss can be simulated on Linux only.");
  const library = join(libraryDirectory, "synced-copy.so");
  await promisify(execFile)("cc", ["-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"]).catch(
    (cause) => {
      throw new Error("A power loss can be simulated only where there is a C compiler, `cc`.", { cause });
    },
  );
  return {
    environment: {
      LD_PRELOAD: library,
      SYNCED_COPY_DIRECTORY: directory,
      ...(syncs !== undefined && { SYNCED_COPY_SYNCS: String(syncs) }),
    },
    async lose() {
      const names = new Set(await readdir(directory));
      for (const name of names) {
        if (name.endsWith(copy)) continue;
        const isKept = names.has(`${name}${copy}`) && !name.endsWith(memory);
        if (isKept) await copyFile(join(directory, `${name}${copy}`), join(directory, name));
        else await rm(join(directory, name));
      }
    },
  };
}
