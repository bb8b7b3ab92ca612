import fc from "fast-check";
import {
  decodeAppended,
  decodeRecords,
  decodeRows,
  encodeAppended,
  encodeRecords,
  encodeRows,
  eventOf,
  type RecordRow,
  rowOf,
} from "../src/codec.ts";
import type { Appended, NewEvent } from "../src/event-log.ts";

/** Any UTF-16 units, so also halves of surrogate pairs, and often those that are hard. */
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom("\ud83d", "\udc0e", "\0", "\n", "\ufeff", "ž", '"'),
      fc.string({ unit: "binary" }),
    ),
  )
  .map((parts) => parts.join(""));

const event: fc.Arbitrary<NewEvent> = fc.record(
  {
    contract: text,
    id: text,
    event: text,
    key: text,
    rooms: fc.array(text, { maxLength: 3 }),
    source: text,
    timeMs: fc.maxSafeNat(),
    data: text,
    keep: fc.constantFrom("log", "latest"),
    cause: text,
    idScope: text,
  },
  { requiredKeys: ["contract", "id", "event", "rooms", "source", "timeMs", "data", "keep"] },
);

/** What UTF-8 or SQLite cannot hold becomes U+FFFD. Rooms go as JSON, which can hold anything. */
const kept = (said: string) => said.replace(/\p{Surrogate}|\0/gu, "\ufffd");

const keptEvent = ({ rooms, timeMs, keep, ...texts }: NewEvent) => ({
  ...Object.fromEntries(Object.entries(texts).map(([name, value]) => [name, kept(value)])),
  rooms,
  timeMs,
  keep,
});

it("gives the events back as they were, each text whatever its neighbours are", () => {
  fc.assert(
    fc.property(fc.array(event), (events) => {
      const back = decodeRows(encodeRows(events.map(rowOf))).map(eventOf);
      expect(back).toEqual(events.map((one) => ({ ...keptEvent(one), offset: 0 })));
    }),
  );
});

it("gives records back as they were, those that are to go as well", () => {
  const record: fc.Arbitrary<RecordRow> = fc.tuple(text, fc.option(text));
  fc.assert(
    fc.property(fc.array(record), (records) => {
      const expected = records.map(([name, value]) => [kept(name), value === null ? null : kept(value)]);
      expect(decodeRecords(encodeRecords(records))).toEqual(expected);
    }),
  );
});

it("keeps offsets up to the largest safe integer", () => {
  const [row] = [{ ...fc.sample(event, 1)[0] } as NewEvent].map(rowOf);
  if (row === undefined) throw new Error("no row");
  row[0] = Number.MAX_SAFE_INTEGER;
  expect(decodeRows(encodeRows([row])).map(([offset]) => offset)).toEqual([Number.MAX_SAFE_INTEGER]);
});

it("gives the answers to a batch back as they were", () => {
  const answer: fc.Arbitrary<Appended> = fc.oneof(
    fc.record({ offset: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), duplicate: fc.boolean() }),
    fc.constant({ error: "ID_REUSED" as const }),
  );
  fc.assert(
    fc.property(fc.array(answer), (answers) => {
      expect(decodeAppended(encodeAppended(answers))).toEqual(answers);
    }),
  );
});
