import { defaultLimits } from "@orrery/hub-core";
import type { Chance } from "./chance.ts";
import { hostileNames, hostileNumber, hostileText, hostileValue } from "./hostile.ts";
import { RawJson } from "./json-text.ts";

type Path = readonly (string | number)[];

/** Stands for what is left out. */
const gone = Symbol("gone");

/** Elements that a list is repeated to: past the hub's bounds for events, and for claims. */
const repeatedTo = [2, 101, 1_001, 10_001] as const;
/** No list is repeated to more text than that, so that most of what is mutated is still read. UTF-16 units, about. */
const mostLength = 0.4 * defaultLimits.messageBytes;

/** The same value, but wrong in one place: something missing, too much, of another kind or out of range. Pure. */
export function mutated(value: unknown, chance: Chance): unknown {
  const path = chance.pick([...pathsOf(value)]);
  const changed = changedAt(value, path, (one) => change(one, chance));
  return changed === gone ? null : changed;
}

function* pathsOf(value: unknown, path: Path = []): Iterable<Path> {
  yield path;
  if (typeof value !== "object" || value === null || value instanceof RawJson) return;
  for (const [name, inner] of Object.entries(value)) {
    yield* pathsOf(inner, [...path, Array.isArray(value) ? Number(name) : name]);
  }
}

function changedAt(value: unknown, [step, ...rest]: Path, how: (one: unknown) => unknown): unknown {
  if (step === undefined) return how(value);
  if (Array.isArray(value)) {
    return value.flatMap((inner, place) => {
      const changed = place === step ? changedAt(inner, rest, how) : inner;
      return changed === gone ? [] : [changed];
    });
  }
  const members = Object.entries(value as object).map(
    ([name, inner]) => [name, name === step ? changedAt(inner, rest, how) : inner] as const,
  );
  return Object.fromEntries(members.filter(([, inner]) => inner !== gone));
}

function change(value: unknown, chance: Chance): unknown {
  const kind = chance.weighted({ drop: 3, replace: 3, wrap: 1, special: 4 });
  switch (kind) {
    case "drop":
      return gone;
    case "replace":
      return hostileValue(chance);
    case "wrap":
      return [value];
    case "special":
      return special(value, chance);
  }
}

/** What only a value of this type can suffer. */
function special(value: unknown, chance: Chance): unknown {
  if (Array.isArray(value)) return repeated(value, chance);
  if (typeof value === "number") return chance.oneIn(2) ? hostileNumber(chance) : -value;
  if (typeof value === "string")
    return chance.oneIn(2) ? hostileText(chance) : `${value}${hostileText(chance)}`;
  if (typeof value !== "object" || value === null || value instanceof RawJson) return hostileValue(chance);
  return Object.fromEntries([...Object.entries(value), [chance.pick(hostileNames), hostileValue(chance)]]);
}

function repeated(all: readonly unknown[], chance: Chance): unknown {
  const count = chance.pick(repeatedTo);
  const lengthEach = Math.max(1, JSON.stringify(all)?.length ?? 1) / Math.max(1, all.length);
  const most = Math.min(count, Math.ceil(mostLength / lengthEach));
  const elements = all.length === 0 ? [hostileValue(chance)] : all;
  if (elements.some((one) => one instanceof RawJson)) return elements;
  return Array.from({ length: most }, (_, place) => elements[place % elements.length]);
}
