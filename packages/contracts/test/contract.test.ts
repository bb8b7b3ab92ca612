import { z } from "zod";
import {
  defineContract,
  errorBody,
  errors,
  eventOf,
  isWithin,
  keyOf,
  OrreryError,
  ownRooms,
  roomsOf,
  scopeOf,
} from "../src/index.ts";
import { parcels } from "../src/parcels.ts";

const base = { summary: "", keep: "log", data: z.object({ id: z.string() }), emit: {}, hear: {} } as const;
const define = (change: object) =>
  defineContract({ name: "test", version: "1.0.0", roles: ["a"], events: {}, ...change } as never);
const fault = (change: object): string => {
  try {
    define(change);
  } catch (error) {
    if (error instanceof OrreryError && error.code === "CONTRACT_INVALID") return error.message;
    throw error;
  }
  return "none";
};

describe("a contract is refused, with every fault named, when", () => {
  it.each([
    ["its name is no namespace", { name: "Par cels" }, /the name "Par cels"/],
    ["its version is no version", { version: "one" }, /the version "one"/],
    ["a role is called like the individual rooms", { roles: ["satellite"] }, /every satellite's own room/],
    [
      "an event has a name of Socket.IO's own",
      { events: { disconnect: base } },
      /event "disconnect": the name/,
    ],
    ["an event has a name of the hub's own", { events: { "hub:emit": base } }, /event "hub:emit": the name/],
    [
      "an event is called __proto__",
      { events: JSON.parse('{"__proto__":{}}') },
      /event "__proto__": the name/,
    ],
    [
      "its data is no zod object",
      { events: { e: { ...base, data: z.string() } } },
      /event "e": the data is no zod/,
    ],
    ["a key is no property", { events: { e: { ...base, key: "toString" } } }, /key "toString"/],
    ["a room is no property", { events: { e: { ...base, rooms: { r: "nope" } } } }, /room "r" takes "nope"/],
    ["latest has no key", { events: { e: { ...base, keep: "latest" } } }, /`latest` needs a key/],
    [
      "a reply is no zod object",
      { events: { e: { ...base, keep: "none", reply: { id: "string" } } } },
      /event "e": the reply is no zod/,
    ],
    ["a question is kept", { events: { e: { ...base, reply: base.data } } }, /a question.* is not kept/],
    ["a role is unknown", { events: { e: { ...base, hear: { b: "all" } } } }, /"b" is not among the roles/],
    ["presence names an unknown role", { presence: { b: "all" } }, /presence: "b" is not among the roles/],
    ["presence is for one's own", { presence: { a: "own" } }, /presence: a may see "all"/],
    ["own has no room", { events: { e: { ...base, emit: { a: "own" } } } }, /"own" for a needs a room/],
  ])("%s", (_when, change, message) => {
    expect(fault(change)).toMatch(message);
  });

  it("there are several faults at once", () => {
    expect(fault({ name: "", version: "" })).toMatch(/the name.*; the version/);
  });
});

describe("the rules of an event", () => {
  const pickup = parcels.events.pickup;
  const data = { parcelId: "p-1", vendorId: "acme", customer: { city: "Recife", state: "PE" } };

  it("take key and rooms from the data", () => {
    expect(keyOf(pickup, data)).toBe("p-1");
    expect(roomsOf(pickup, data)).toEqual(["vendor:acme"]);
    expect(roomsOf(pickup, { ...data, vendorId: undefined })).toEqual([]);
  });

  it("give each role its scope, and no role what only the prototype has", () => {
    expect(scopeOf(pickup.emit, "vendor")).toBe("own");
    expect(scopeOf(pickup.hear, "driver")).toBe("all");
    expect(scopeOf(pickup.emit, "driver")).toBeUndefined();
    expect(scopeOf(pickup.emit, "constructor")).toBeUndefined();
    expect(eventOf(parcels, "constructor")).toBeUndefined();
    expect(eventOf(parcels, 7)).toBeUndefined();
  });

  it("count an event as one's own by the role's room or the individual one", () => {
    const own = ownRooms({ role: "vendor", id: "acme" });
    expect(isWithin("own", own, ["vendor:acme"])).toBe(true);
    expect(isWithin("own", own, ["satellite:acme"])).toBe(true);
    expect(isWithin("own", own, ["vendor:other"])).toBe(false);
    expect(isWithin("own", own, [])).toBe(false);
    expect(isWithin("all", own, [])).toBe(true);
    expect(isWithin(undefined, own, ["vendor:acme"])).toBe(false);
  });
});

describe("errors", () => {
  it("have a code in UPPER_SNAKE, a message, a remedy and a word on whether to try again", () => {
    for (const [code, entry] of Object.entries(errors)) {
      expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
      expect(entry).toEqual({
        message: expect.stringMatching(/\.$/),
        remedy: expect.stringMatching(/\S/),
        retryable: expect.any(Boolean),
      });
    }
  });

  it("cross the wire without this side's detail, and keep a code that this version does not know", () => {
    const issues = [{ path: "customer.city", message: "expected a string" }];
    const error = new OrreryError("DATA_INVALID", { detail: "secret", issues });
    expect(error.message).toContain("secret");
    expect(JSON.stringify(errorBody(error.code, issues))).not.toContain("secret");
    expect(OrreryError.from(errorBody("DATA_INVALID", issues))).toMatchObject({
      code: "DATA_INVALID",
      issues,
    });
    const newer = OrreryError.from({ code: "RATE_LIMITED" as never, message: "Too fast.", retryable: true });
    expect(newer).toMatchObject({ code: "RATE_LIMITED", message: "Too fast.", retryable: true });
  });
});
