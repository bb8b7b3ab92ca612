import { type EventLog, type Filter, isWanted } from "@orrery/event-log";
import { heardEncoder } from "./heard.ts";
import type { Publisher } from "./publish.ts";
import type { Tail } from "./tail.ts";

/** What was read, as satellites hear it. */
export interface ReadTexts {
  readonly texts: readonly string[];
  /** Everything up to it was looked at. */
  readonly through: number;
  /** Where retention has taken events behind the place that was read from: up to where. */
  readonly missingThrough?: number;
}

/**
 * Reads the log up to what was fanned out, from memory where it is there, otherwise from the disk. The one way in which
 * satellites get what they did not hear live.
 */
export class LogReader {
  readonly #log: EventLog;
  readonly #publisher: Publisher;
  readonly #tail: Tail;
  readonly #toHeard = heardEncoder();

  constructor(log: EventLog, publisher: Publisher, tail: Tail) {
    this.#log = log;
    this.#publisher = publisher;
    this.#tail = tail;
  }

  /** Whether all that comes after the offset is in memory. */
  isNear(after: number): boolean {
    return after >= this.#tail.start;
  }

  /** From memory, all that comes after the offset, in this turn. */
  readNear(after: number, filter: Filter): ReadTexts {
    const texts = this.#tail.after(after).filter((event) => isWanted(filter, event));
    return { texts: texts.map(({ text }) => text), through: this.#publisher.head };
  }

  /**
   * At most `limit` places of the log from the disk; all that there is from memory. Pages of which retention has left nothing
   * are read together with the next one, so that what is missing is one range.
   */
  async read(after: number, filter: Filter, limit?: number): Promise<ReadTexts> {
    if (this.isNear(after)) return this.readNear(after, filter);
    const upTo = this.#publisher.head;
    const next = (from: number) =>
      this.#log.read({ after: from, upTo, filter, ...(limit !== undefined && { limit }) });
    let page = await next(after);
    while (page.events.length === 0 && page.takenThrough > page.through && page.through < upTo) {
      page = await next(page.through);
    }
    const texts = page.events.map((event) => this.#toHeard(event, event.offset).text);
    const { through, takenThrough } = page;
    if (takenThrough <= after) return { texts, through };
    const missingThrough = Math.min(takenThrough, through);
    return { texts, through, missingThrough };
  }

  /** The event at that place; undefined where retention has taken it. */
  async at(offset: number): Promise<string | undefined> {
    const { events } = await this.#log.read({ after: offset - 1, upTo: offset });
    return events[0] && this.#toHeard(events[0], offset).text;
  }

  /** The newest value per key of the filter's events, as they were at `upTo`. */
  async *latest(filter: Filter, upTo: number): AsyncIterable<readonly string[]> {
    for (let after = 0; after < upTo; ) {
      const page = await this.#log.read({ after, upTo, filter, latestOnly: true });
      yield page.events.map((event) => this.#toHeard(event, event.offset).text);
      after = page.through;
    }
  }
}
