import type { Chance } from "./chance.ts";
import { RawJson } from "./json-text.ts";

/** Names that JavaScript, Socket.IO or Node give a meaning to. */
export const hostileNames = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "then",
  "length",
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
  "hub:close",
  "hub:nothing",
  "",
] as const;

/** Levels of nesting, far beyond what the hub takes and far below its bound on a message. */
const deepLevels = 20_000;
/** Elements, far beyond every bound of the hub's on a list, and within that on a message. */
const manyElements = 20_000;
/** UTF-16 units, beyond what the hub keeps of any name. */
const longLength = 5_000;

/** Arguments that no function can be called with, within one message. */
const tooManyArguments = 130_000;

/** JSON of them. */
export const manyArguments = (): string => new Array(tooManyArguments).fill(1).join(",");

/** A text that nobody expects where it stands. */
export function hostileText(chance: Chance): string {
  const kinds = {
    name: () => chance.pick(hostileNames),
    long: () => "x".repeat(chance.pick([65, 101, 201, 1_001, longLength])),
    surrogate: () => `half \ud83d of a pair`,
    control: () => "nul \u0000, line \n, separator \u2028, bell \u0007",
    direction: () => "\u202eright to left, \ufeff and a mark",
    wide: () => "𐍈".repeat(60),
    number: () => chance.pick(["0", "-1", "1e3", "NaN", "Infinity", "0x10", "9007199254740993"]),
    sql: () => "'; DROP TABLE events; --",
    path: () => "../../../etc/passwd",
    cursor: () => chance.pick([":", ":1", "x:", "x:-1", "x:1e3", `x:${"9".repeat(16)}`]),
    room: () => chance.pick(["vendor:", ":acme", "vendor", "satellite:*", "vendor:a:b", "audience plain []"]),
  };
  return kinds[chance.pick(Object.keys(kinds) as (keyof typeof kinds)[])]();
}

/** A number that nobody expects where it stands. */
export function hostileNumber(chance: Chance): unknown {
  return chance.pick([
    0,
    -1,
    1.5,
    2 ** 31,
    2 ** 32 + 1,
    Number.MAX_SAFE_INTEGER,
    2 ** 63,
    1e308,
    5e-324,
    new RawJson("-0"),
    new RawJson("1e999"),
    new RawJson("-1e999"),
    new RawJson("9007199254740993"),
    new RawJson("99999999999999999999999999999999999999"),
  ]);
}

/** Any value that nobody expects where it stands. */
export function hostileValue(chance: Chance): unknown {
  const kind = chance.weighted({ plain: 6, text: 6, number: 6, keys: 3, repeated: 1, deep: 1, many: 1 });
  switch (kind) {
    case "plain":
      return chance.pick([null, true, false, [], {}, [[]], [null], { a: {} }] as const);
    case "text":
      return hostileText(chance);
    case "number":
      return hostileNumber(chance);
    case "keys":
      // `fromEntries` makes a property of `__proto__`, where a literal would set the prototype.
      return Object.fromEntries([[chance.pick(hostileNames), { polluted: true }]]);
    case "repeated":
      return new RawJson('{"role":"board","role":"vendor","id":"a1","id":"a2"}');
    case "deep":
      return chance.oneIn(2)
        ? new RawJson("[".repeat(deepLevels) + "]".repeat(deepLevels))
        : new RawJson(`${'{"a":'.repeat(deepLevels)}1${"}".repeat(deepLevels)}`);
    case "many":
      return new RawJson(`[${new Array(manyElements).fill(chance.pick(["1", "{}", '"x"'])).join(",")}]`);
  }
}
