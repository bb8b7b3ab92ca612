import { type EventLog, type Filter, isWanted, type Page } from "@orrery/event-log";
import { heardEncoder } from "./heard.ts";
import type { Publisher } from "./publish.ts";
import type { Tail } from "./tail.ts";

/** What was read, as satellites hear it. */
export interface ReadTexts {
  readonly texts: readonly string[];
  /** Everything up to it was looked at. */
  readonly through: number;
  /** Events between the place that was read from and this one may be missing, since retention has taken some. */
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
   * At most `limit` places of the log from the disk; all that there is from memory. Where retention has taken something behind
   * `after`, just what is left of that: the newest of `latest` events, so that the gap can be told before what comes next.
   */
  async read(after: number, filter: Filter, limit?: number): Promise<ReadTexts> {
    if (this.isNear(after)) return this.readNear(after, filter);
    const upTo = this.#publisher.head;
    const page = await this.#log.read({ after, upTo, filter, ...(limit !== undefined && { limit }) });
    const { takenThrough } = page;
    if (takenThrough <= after) return this.#texts(page);
    const left = await this.#log.read({ after, upTo: takenThrough, filter, latestOnly: true });
    return { ...this.#texts(left), missingThrough: left.through };
  }

  #texts({ events, through }: Page): ReadTexts {
    return { texts: events.map((event) => this.#toHeard(event, event.offset).text), through };
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
