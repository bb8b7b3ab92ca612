import type { HeardEntry, Meta } from "@orrery/contracts";

export type Handler = (data: never, meta: Meta) => void | Promise<void>;

/**
 * Who listens to what. Handlers of one event are started in the order in which they were added; while one of them is not
 * done, later events of the same key wait, and other keys go on beside it.
 */
export class Handlers {
  readonly #handlers = new Map<string, Set<Handler>>();
  /** What is under way per key; its last event's handlers are done when the promise resolves. */
  readonly #busy = new Map<string, Promise<void>>();
  readonly #onError: (error: unknown, entry: HeardEntry) => void;

  constructor(onError: (error: unknown, entry: HeardEntry) => void) {
    this.#onError = onError;
  }

  get events(): readonly string[] {
    return [...this.#handlers.keys()];
  }

  /** Whether this is the event's first handler. */
  add(event: string, handler: Handler): boolean {
    const handlers = this.#handlers.get(event);
    if (handlers === undefined) this.#handlers.set(event, new Set([handler]));
    else handlers.add(handler);
    return handlers === undefined;
  }

  /** Whether the event has no handler any more. Without `handler`: removes all of the event's. */
  remove(event: string, handler?: Handler): boolean {
    const handlers = this.#handlers.get(event);
    if (handlers === undefined) return false;
    if (handler !== undefined) handlers.delete(handler);
    return handler === undefined || handlers.size === 0 ? this.#handlers.delete(event) : false;
  }

  hear(entry: HeardEntry): void {
    const [, , { subject }] = entry;
    const before = subject === undefined ? undefined : this.#busy.get(subject);
    const done = before === undefined ? this.#call(entry) : before.then(() => this.#call(entry));
    if (subject === undefined || done === undefined) return;
    this.#busy.set(subject, done);
    void done.then(() => {
      if (this.#busy.get(subject) === done) this.#busy.delete(subject);
    });
  }

  /** Undefined when all handlers returned at once. The promise never rejects. */
  #call(entry: HeardEntry): Promise<void> | undefined {
    const [event, data, meta] = entry;
    const running: Promise<void>[] = [];
    for (const handler of [...(this.#handlers.get(event) ?? [])]) {
      try {
        const result = handler(data as never, meta);
        if (result instanceof Promise) running.push(result.catch((error) => this.#onError(error, entry)));
      } catch (error) {
        this.#onError(error, entry);
      }
    }
    return running.length === 0 ? undefined : Promise.all(running).then(() => undefined);
  }
}
