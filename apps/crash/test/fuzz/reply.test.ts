import { errorBody } from "@orrery/contracts";
import { parcels } from "@orrery/contracts/parcels";
import { codesOf, entriesIn, insideOf, mayHear, maySay } from "../../src/fuzz/reply.ts";

const refused = { ok: false, error: errorBody("FORBIDDEN") };
const pickup = ["pickup", { parcelId: "p", vendorId: "a0" }, { id: "1", type: "pickup" }] as const;

describe("a reply", () => {
  it("is ok or has codes of the table, also those of the replies in it", () => {
    expect(codesOf({ ok: true, id: "1", offset: 1 })).toEqual(["ok"]);
    expect(codesOf(refused)).toEqual(["FORBIDDEN"]);
    const receipts = [{ ok: true, id: "1", offset: 1 }, refused];
    expect(codesOf({ ok: true, receipts })).toEqual(["ok", "ok", "FORBIDDEN"]);
    expect(codesOf({ ok: true, replies: [{ ok: true, receipts }] })).toEqual(["ok", "ok", "ok", "FORBIDDEN"]);
  });

  it("is none where it is something else, or says more than the table", () => {
    const wrong = [
      undefined,
      null,
      [],
      "ok",
      {},
      { ok: 1 },
      { ok: false },
      { ok: false, error: "no" },
      { ok: false, error: { ...errorBody("FORBIDDEN"), code: "NO_SUCH_CODE" } },
      { ok: false, error: { ...errorBody("FORBIDDEN"), message: "vendor:a0 may not, says admit.ts" } },
      { ok: false, error: { ...errorBody("FORBIDDEN"), retryable: true } },
      { ok: true, receipts: [refused, {}] },
      { ok: true, receipts: "all" },
    ];
    for (const one of wrong) expect(codesOf(one)).toBeUndefined();
  });
});

describe("what is told", () => {
  it("is found live, in pages, deliveries, claims and replies", () => {
    const told = [
      [pickup],
      [["hub:events", [pickup]]],
      [["hub:deliver", { as: "f1", events: [pickup] }]],
      [["hub:claims", { group: "g1", claims: [{ offset: 1, token: 1, event: pickup, leaseMs: 1 }] }]],
      [{ ok: true, parked: [{ offset: 1, event: pickup }] }],
      [{ ok: true, dead: [{ offset: 1, event: pickup }] }],
      [{ ok: true, entries: [{ kind: "event", event: pickup }, { kind: "waiting" }] }],
    ];
    for (const args of told) expect([...entriesIn(args)]).toEqual([pickup]);
    expect([...entriesIn([{ ok: true, dead: [{ event: null }] }, "hub:reached", 7])]).toEqual([]);
  });

  it("is for those that may hear it alone", () => {
    const may = (role: string, id: string, entry: readonly [string, unknown]) =>
      mayHear(parcels, { role, id }, entry);
    const [name, data] = pickup;
    expect(may("driver", "a1", [name, data])).toBe(true);
    expect(may("vendor", "a0", [name, data])).toBe(true);
    expect(may("vendor", "a1", [name, data])).toBe(false);
    expect(may("driver", "a0", ["in-transit", { ...data, driverId: "a1" }])).toBe(false);
    expect(may("logger", "a0", ["hub:work", {}])).toBe(false);
  });

  it("is said by those that may say it alone", () => {
    const may = (role: string, id: string, name: string, data: unknown) =>
      maySay(parcels, { role, id }, name, data);
    const [name, data] = pickup;
    expect(may("vendor", "a0", name, data)).toBe(true);
    expect(may("vendor", "a1", name, data)).toBe(false);
    expect(may("driver", "a0", name, data)).toBe(false);
    expect(may("driver", "a0", "in-transit", { ...data, driverId: "a0" })).toBe(true);
    expect(may("vendor", "a0", "nothing", data)).toBe(false);
  });

  it("has nothing of the hub's inside", () => {
    const inside = [
      "    at Socket.onevent (/srv/hub/socket.js:459:22)",
      "/srv/node_modules/ws",
      "RangeError: Maximum call stack size exceeded",
      "listen.ts:44",
      "SQLITE_BUSY",
      "SELECT * FROM events",
    ];
    for (const text of inside) expect(insideOf(`{"message":"${text}"}`)).toContain(text.trim());
    const outside = ['{"code":"FORBIDDEN","message":"Your role may not do this."}', "at 10 o'clock", ""];
    for (const text of outside) expect(insideOf(text)).toBeUndefined();
  });
});
