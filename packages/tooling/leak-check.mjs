// Fails a test that leaves a socket, a server or a timer behind: what is open after it and was not open before it.
import { afterEach, beforeEach } from "@jest/globals";

const watched = new Set(["TCPSocketWrap", "TCPServerWrap", "Timeout", "MessagePort", "ProcessWrap"]);
const graceMs = 2_000; // closing a socket takes some turns of the event loop

const open = () => {
  const counts = new Map();
  for (const kind of process.getActiveResourcesInfo()) {
    if (watched.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
};

let before;
beforeEach(() => {
  before = open();
});

afterEach(async () => {
  const untilMs = Date.now() + graceMs;
  for (;;) {
    const left = [...open()].filter(([kind, count]) => count > (before.get(kind) ?? 0));
    if (left.length === 0) return;
    if (Date.now() > untilMs) {
      throw new Error(`the test left something open: ${left.map(([kind, count]) => `${count} ${kind}`).join(", ")}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
});
