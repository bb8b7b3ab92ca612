import type { HeardEntry } from "@orrery/contracts";
import {
  type EventLog,
  type Filter,
  isWanted,
  runsOf,
  type TextPage,
  type TextRequest,
} from "@orrery/event-log";
import pLimit from "p-limit";
import { filterName } from "./filter-of.ts";
import type { Form } from "./identity.ts";
import type { Publisher } from "./publish.ts";
import type { Tail } from "./tail.ts";

/** What was read, as satellites hear it. */
export interface ReadTexts {
  /** For a plain client each event alone, otherwise runs of them. */
  readonly texts: readonly string[];
  /** Everything up to it was looked at. */
  readonly through: number;
  /** Events between the place that was read from and this one may be missing, since retention has taken some. */
  readonly missingThrough?: number;
}

/** Places of the log in one page. Pages end at multiples of it, so that satellites that read the same share them. */
const pagePlaces = 1_000;
/**
 * The same while events pass live, which wait for what is sent before them: a page of 1,000 took the hub 3 to 5 ms. So it divides the
 * other one.
 */
const pagePlacesBesideLive = 200;
/** Events that came so lately pass live. Milliseconds. */
const liveMs = 100;
/** As many as one message may bring. Who is further behind has as much to be sent as one that reads a page from the disk. */
const livePlaces = 256;
/** Pages that are remembered. Satellites that come back together want the same ones. */
const keptPages = 8;
/** Pages that the log is asked for at once: one that it reads and one that waits, so that it never does. */
const openReads = 2;
/** UTF-16 units in a run: a string that V8 does not call large. */
const runLength = 65_536;

/**
 * Reads the log up to what was fanned out, from memory where it is there, otherwise from the disk. The one way in which
 * satellites get what they did not hear live.
 */
export class LogReader {
  readonly #log: EventLog;
  readonly #publisher: Publisher;
  readonly #tail: Tail;
  readonly #runLength: number;
  readonly #reads = pLimit(openReads);
  readonly #pages = new Map<string, Promise<ReadTexts>>();
  /** Of each filter, what `filterName` says: some 50 µs where it has 5 events and 100 rooms. */
  readonly #names = new WeakMap<Filter, string>();

  constructor(log: EventLog, publisher: Publisher, tail: Tail, messageBytes: number) {
    this.#log = log;
    this.#publisher = publisher;
    this.#tail = tail;
    this.#runLength = Math.min(runLength, messageBytes);
  }

  /** Whether all that comes after the offset is in memory. */
  isNear(after: number): boolean {
    return after >= this.#tail.start;
  }

  /** Whether that is so little that it needs no turn. */
  isLive(after: number): boolean {
    return this.isNear(after) && this.#publisher.head - after <= livePlaces;
  }

  /** From memory, all that comes after the offset, in this turn. */
  readNear(after: number, filter: Filter, form: Form): ReadTexts {
    const events = this.#tail.after(after).filter((event) => isWanted(filter, event));
    const texts = events.map(({ text }) => text);
    return { texts: runsOf(texts, this.#lengthFor(form)), through: this.#publisher.head };
  }

  /**
   * A page of the log from the disk; all that there is from memory. Where retention has taken something behind `after`, just
   * what is left of that: the newest of `latest` events, so that the gap can be told before what comes next.
   */
  async read(after: number, filter: Filter, form: Form): Promise<ReadTexts> {
    return this.isNear(after) ? this.readNear(after, filter, form) : this.#page(after, filter, form);
  }

  /** Reads the page after that place for whoever will want it, where the log has nothing else to do. */
  readAhead(after: number, filter: Filter, form: Form): void {
    if (this.isNear(after) || this.#reads.activeCount === openReads) return;
    this.#page(after, filter, form).catch(() => undefined); // whoever wants it will hear of it
  }

  /** A page of the newest values per key of the filter's events, as they were at `upTo`. */
  latest(after: number, upTo: number, filter: Filter, form: Form): Promise<ReadTexts> {
    return this.#ask({ after, upTo, filter, latestOnly: true, runLength: this.#lengthFor(form) });
  }

  /** The event at that place, as a text; undefined where retention has taken it, and where the filter does not want it. */
  async at(offset: number, filter: Filter): Promise<string | undefined> {
    const { texts } = await this.#log.readTexts({ after: offset - 1, upTo: offset, filter });
    return texts[0];
  }

  /** The same, as it is heard. */
  async entryAt(offset: number, filter: Filter): Promise<HeardEntry | undefined> {
    const text = await this.at(offset, filter);
    return text === undefined ? undefined : JSON.parse(text);
  }

  #page(after: number, filter: Filter, form: Form): Promise<ReadTexts> {
    const places = this.#pagePlaces();
    const name = `${form} ${after} ${places} ${this.#nameOf(filter)}`;
    const known = this.#pages.get(name);
    if (known !== undefined) return known;
    const page = this.#readPage(after, places - (after % places), filter, this.#lengthFor(form));
    this.#pages.set(name, page);
    page.catch(() => this.#pages.delete(name));
    const [oldest] = this.#pages.keys();
    if (this.#pages.size > keptPages) this.#pages.delete(oldest as string);
    return page;
  }

  #pagePlaces(): number {
    const isLive = performance.now() - this.#tail.grownMs < liveMs;
    return isLive ? pagePlacesBesideLive : pagePlaces;
  }

  async #readPage(after: number, limit: number, filter: Filter, runLength: number): Promise<ReadTexts> {
    const upTo = this.#publisher.head;
    const { texts, through, takenThrough } = await this.#ask({ after, upTo, filter, limit, runLength });
    if (takenThrough <= after) return { texts, through };
    const left = await this.#ask({ after, upTo: takenThrough, filter, latestOnly: true, runLength });
    return { texts: left.texts, through: left.through, missingThrough: left.through };
  }

  #ask(request: TextRequest): Promise<TextPage> {
    return this.#reads(() => this.#log.readTexts(request));
  }

  #nameOf(filter: Filter): string {
    const name = this.#names.get(filter) ?? filterName(filter);
    this.#names.set(filter, name);
    return name;
  }

  #lengthFor(form: Form): number {
    return form === "plain" ? 0 : this.#runLength;
  }
}
