/// <reference lib="dom" />
import { OrreryError } from "@orrery/contracts";
import type { OutboxOptions, OutboxStore, StoredEntry } from "./outbox-store.ts";

const store = "entries";

/** The browser's outbox. Tabs that share a database send each other's events too; the ids make each happen once. */
export function openOutboxStore(options: OutboxOptions): OutboxStore {
  if (!("indexedDb" in options)) {
    throw new OrreryError("CONFIG_INVALID", { detail: "In a browser an outbox is kept in `indexedDb`." });
  }
  return new IndexedDbStore(options.indexedDb);
}

class IndexedDbStore implements OutboxStore {
  readonly #name: string;
  #db: IDBDatabase | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  async open(): Promise<readonly StoredEntry[]> {
    const opening = indexedDB.open(this.#name, 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(store, { autoIncrement: true }).createIndex("id", "id");
    };
    const db = await done(opening);
    this.#db = db;
    return done(db.transaction(store).objectStore(store).getAll());
  }

  async put(entries: readonly StoredEntry[]): Promise<void> {
    await this.#write((all) => {
      for (const entry of entries) all.add(entry);
    });
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#write((all) => {
      for (const id of ids) {
        const finding = all.index("id").getKey(id);
        finding.onsuccess = () => {
          if (finding.result !== undefined) all.delete(finding.result);
        };
      }
    });
  }

  async close(): Promise<void> {
    this.#db?.close();
  }

  /** Resolves when the browser has it on disk. */
  #write(change: (all: IDBObjectStore) => void): Promise<void> {
    const db = this.#db;
    if (db === undefined) return Promise.reject(new OrreryError("CLOSED"));
    return new Promise((resolve, reject) => {
      const transaction = db.transaction(store, "readwrite", { durability: "strict" });
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
      change(transaction.objectStore(store));
    });
  }
}

const done = <Result>(request: IDBRequest<Result>): Promise<Result> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
