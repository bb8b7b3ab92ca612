import { type Finding, finding } from "./finding.ts";

/** An event as the log has it at the end. */
export interface Logged {
  readonly offset: number;
  readonly id: string;
  readonly key: string;
  readonly vendor: string;
  /** Grows with every event that the vendor says, over all lives of its process; with the vendor it tells what was said. */
  readonly serial: number;
}

/** What a publisher got for an event. */
export interface Receipt {
  readonly id: string;
  readonly key: string;
  readonly offset: number;
}

/** An event as a follower's handler wrote it down. */
export interface Handled extends Receipt {
  /** The follower's process: 1 is the first. */
  readonly life: number;
}

export interface Followed {
  readonly name: string;
  readonly wants: (event: Logged) => boolean;
  /** In the order in which they were written. */
  readonly handled: readonly Handled[];
}

/** All that is left of a run. */
export interface Evidence {
  /** In the order of the log. */
  readonly log: readonly Logged[];
  readonly receipts: readonly Receipt[];
  /** Ids of events that a killed publisher left in its outbox. */
  readonly stored: readonly string[];
  readonly followed: readonly Followed[];
}

/** Holds what was promised against what is left: a finding for each promise, in this order, with 0 where it was kept. Pure. */
export function check({ log, receipts, stored, followed }: Evidence): readonly Finding[] {
  const byId = new Map(log.map((event) => [event.id, event]));
  return [
    finding(
      "acked, but not in the log",
      receipts.filter(({ id }) => !byId.has(id)),
    ),
    finding(
      "acked as another place or key than the log's",
      receipts.filter(({ id, key, offset }) => {
        const event = byId.get(id);
        return event !== undefined && (event.offset !== offset || event.key !== key);
      }),
    ),
    finding(
      "stored in an outbox, but not in the log",
      stored.filter((id) => !byId.has(id)),
    ),
    finding("twice in the log", [...repeated(log, ({ id }) => id), ...repeated(log, saidOf)]),
    finding("out of order per key in the log", [...descending(log, ({ serial }) => serial)]),
    finding("places missing in the log", [...holes(log)]),
    ...followed.map(({ name, wants, handled }) => {
      const offsets = new Set(handled.map(({ offset }) => offset));
      return finding(
        `missing at follower ${name}`,
        log.filter((event) => wants(event) && !offsets.has(event.offset)),
      );
    }),
    ...followed.map(({ name, handled }) =>
      finding(`out of order per key at follower ${name}`, [
        ...descending(firsts(handled), ({ offset }) => offset),
      ]),
    ),
    ...followed.map(({ name, handled }) =>
      finding(`handled twice in one life by follower ${name}`, [
        ...repeated(handled, ({ life, offset }) => life * 2 ** 32 + offset),
      ]),
    ),
    ...followed.map(({ name, wants, handled }) =>
      finding(
        `handled by follower ${name}, but not so in the log`,
        handled.filter(({ id, offset, key }) => {
          const event = byId.get(id);
          return event?.offset !== offset || event.key !== key || !wants(event);
        }),
      ),
    ),
  ];
}

/** The first time that each event was handled. */
export function firsts(handled: readonly Handled[]): readonly Handled[] {
  const seen = new Set<number>();
  return handled.filter(({ offset }) => !seen.has(offset) && seen.add(offset));
}

const saidOf = ({ vendor, serial }: Logged): string => `${vendor}/${serial}`;

/** Those whose name came before. */
function* repeated<One>(all: readonly One[], nameOf: (one: One) => string | number): Iterable<One> {
  const seen = new Set<string | number>();
  for (const one of all) {
    const name = nameOf(one);
    if (seen.has(name)) yield one;
    seen.add(name);
  }
}

/** Those whose number is below that of an earlier one of the same key. */
function* descending<One extends { readonly key: string }>(
  all: readonly One[],
  numberOf: (one: One) => number,
): Iterable<One> {
  const highest = new Map<string, number>();
  for (const one of all) {
    const before = highest.get(one.key) ?? 0;
    if (numberOf(one) < before) yield one;
    else highest.set(one.key, numberOf(one));
  }
}

/** Offsets from 1 on that no event has. */
function* holes(log: readonly Logged[]): Iterable<number> {
  let next = 1;
  for (const { offset } of log) {
    while (next < offset) yield next++;
    next = offset + 1;
  }
}
