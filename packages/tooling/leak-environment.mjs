import { TestEnvironment } from "jest-environment-node";

const watched = new Set(["TCPSocketWrap", "TCPServerWrap", "Timeout", "MessagePort", "ProcessWrap"]);
const graceMs = 2_000; // closing a socket takes some turns of the event loop

/** Fails a test that leaves a socket, a server, a thread or a timer behind: open after its last hook, and not before it. */
export default class LeakEnvironment extends TestEnvironment {
  #before = new Map();

  async handleTestEvent(event) {
    if (event.name === "test_start") this.#before = open();
    if (event.name !== "test_done" || event.test.errors.length > 0) return;
    const left = await this.#left();
    if (left.length > 0)
      event.test.errors.push(new Error(`the test left something open: ${left.join(", ")}`));
  }

  async #left() {
    const untilMs = Date.now() + graceMs;
    for (;;) {
      const left = [...open()].filter(([kind, count]) => count > (this.#before.get(kind) ?? 0));
      if (left.length === 0 || Date.now() > untilMs) return left.map(([kind, count]) => `${count} ${kind}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function open() {
  const counts = new Map();
  for (const kind of process.getActiveResourcesInfo()) {
    if (watched.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}
