import { check, type Evidence, type Logged } from "../src/check.ts";

const logged = (offset: number, changes: Partial<Logged> = {}): Logged => ({
  offset,
  id: `e-${offset}`,
  key: `k-${offset % 2}`,
  vendor: "acme",
  serial: offset,
  ...changes,
});
const log = [1, 2, 3, 4].map((offset) => logged(offset));
const receipts = log.map(({ id, key, offset }) => ({ id, key, offset }));
const handled = receipts.map((receipt) => ({ ...receipt, life: 1 }));
const whole: Evidence = {
  log,
  receipts,
  stored: ["e-2"],
  followed: [{ name: "f", wants: () => true, handled }],
};

/** The faults of a run that differs so from one without faults, with their counts. */
const faults = (changes: Partial<Evidence>) =>
  Object.fromEntries(
    check({ ...whole, ...changes })
      .filter(({ count }) => count > 0)
      .map(({ fault, count }) => [fault, count]),
  );
const followed = (changes: Partial<Evidence["followed"][number]>) => ({
  followed: [{ name: "f", wants: () => true, handled, ...changes }],
});
/** The handled events at these offsets, in this order. */
const inOrder = (...offsets: readonly number[]) =>
  offsets.map((offset) => handled[offset - 1] as (typeof handled)[number]);

describe("the check finds", () => {
  it("nothing where every promise was kept", () => {
    expect(faults({})).toEqual({});
  });

  it("an acked event that the log does not have", () => {
    const lost = { id: "e-5", key: "k-1", offset: 5 };
    expect(faults({ receipts: [...receipts, lost] })).toEqual({ "acked, but not in the log": 1 });
  });

  it("a receipt that names another place, or is for another key", () => {
    const wrong = [
      { id: "e-1", key: "k-1", offset: 2 },
      { id: "e-2", key: "k-1", offset: 2 },
    ];
    expect(faults({ receipts: wrong })).toEqual({ "acked as another place or key than the log's": 2 });
  });

  it("an event of an outbox that was never said", () => {
    expect(faults({ stored: ["e-1", "e-9"] })).toEqual({ "stored in an outbox, but not in the log": 1 });
  });

  it("an event that is twice in the log, under one id or under two", () => {
    const sameId = [...log, logged(5, { id: "e-3" })];
    expect(faults({ log: sameId, ...followed({ wants: ({ offset }) => offset < 5 }) })).toMatchObject({
      "twice in the log": 1,
    });
    const sameSerial = [...log, logged(5, { serial: 3 })];
    expect(faults({ log: sameSerial, ...followed({ wants: ({ offset }) => offset < 5 }) })).toEqual({
      "twice in the log": 1,
    });
  });

  it("events of one key in another order than they were said in; other keys are free", () => {
    const swapped = (one: number, other: number) =>
      log.map((event) => {
        const serial = { [one]: other, [other]: one }[event.serial] ?? event.serial;
        return { ...event, serial };
      });
    expect(faults({ log: swapped(1, 3) })).toEqual({ "out of order per key in the log": 1 });
    expect(faults({ log: swapped(1, 2) })).toEqual({});
  });

  it("places of the log that no event has", () => {
    const until5 = [...log.filter(({ offset }) => offset !== 2), logged(6)];
    expect(
      faults({ log: until5, receipts: [], stored: [], ...followed({ wants: () => false, handled: [] }) }),
    ).toEqual({ "places missing in the log": 2 });
  });

  it("an event that a follower did not handle, but not one that it does not want", () => {
    expect(faults(followed({ handled: inOrder(1, 2, 4) }))).toEqual({ "missing at follower f": 1 });
    const wants = ({ offset }: Logged) => offset !== 3;
    expect(faults(followed({ handled: inOrder(1, 2, 4), wants }))).toEqual({});
  });

  it("an event that a follower handled before an earlier one of its key; other keys are free", () => {
    expect(faults(followed({ handled: inOrder(3, 1, 2, 4) }))).toEqual({
      "out of order per key at follower f": 1,
    });
    expect(faults(followed({ handled: inOrder(2, 1, 4, 3) }))).toEqual({});
  });

  it("an event that was handled twice in one life; after a kill it may come again", () => {
    expect(faults(followed({ handled: inOrder(1, 2, 1, 3, 4) }))).toEqual({
      "handled twice in one life by follower f": 1,
    });
    const again = inOrder(1, 2, 3, 4).map((one) => ({ ...one, life: 2 }));
    expect(faults(followed({ handled: [...inOrder(1, 2, 3), ...again] }))).toEqual({});
  });

  it("an event that a follower heard of, and that is not in the log or not wanted", () => {
    const phantom = { id: "e-5", key: "k-1", offset: 5, life: 1 };
    const fault = "handled by follower f, but not so in the log";
    expect(faults(followed({ handled: [...handled, phantom] }))).toEqual({ [fault]: 1 });
    const replaced = { ...phantom, offset: 4 };
    expect(faults(followed({ handled: [...inOrder(1, 2, 3), replaced] }))).toEqual({ [fault]: 1 });
    expect(faults(followed({ wants: ({ offset }) => offset !== 3 }))).toEqual({ [fault]: 1 });
  });

  it("each fault with its count and a few examples", () => {
    const lost = Array.from({ length: 9 }, (_, place) => ({ id: `lost-${place}`, key: "k", offset: 100 }));
    const [finding] = check({ ...whole, receipts: lost });
    expect(finding).toMatchObject({ count: 9 });
    expect(finding?.examples).toHaveLength(5);
    expect(finding?.examples[0]).toContain("lost-0");
  });
});
