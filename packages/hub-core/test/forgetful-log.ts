import type { EventLog } from "@orrery/event-log";

/** A log that keeps nothing of what it takes. Each append waits for `writing` first, and fails where that does. */
export function forgetfulLog(writing: () => Promise<void> = async () => undefined): EventLog {
  let head = 0;
  return {
    epoch: "e",
    get head() {
      return head;
    },
    async append(batch) {
      await writing();
      return batch.map(() => ({ offset: ++head, duplicate: false }));
    },
    read: async ({ after }) => ({ events: [], through: after, takenThrough: 0 }),
    readTexts: async ({ after }) => ({ texts: [], through: after, takenThrough: 0 }),
    caused: async () => [],
    firstOffsets: async () => new Map(),
    records: async () => new Map(),
    offsetBefore: async () => 0,
    close: async () => undefined,
  };
}
