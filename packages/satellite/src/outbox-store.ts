/** An event as it waits in a store. */
export interface StoredEntry {
  readonly id: string;
  /** As it stands in `hub:emit`. */
  readonly text: string;
}

/** Where an outbox outlives its process: a file in Node, IndexedDB in a browser. */
export interface OutboxStore {
  /** What an earlier run has left, in its order. */
  open(): Promise<readonly StoredEntry[]>;
  /** Resolves when the entries are kept. */
  put(entries: readonly StoredEntry[]): Promise<void>;
  remove(ids: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** Where to keep it. `file`: in Node, a path of this satellite alone. `indexedDb`: in a browser, a database's name. */
export type OutboxOptions = { readonly file: string } | { readonly indexedDb: string };
