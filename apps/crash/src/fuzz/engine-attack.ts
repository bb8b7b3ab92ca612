// Engine.IO packets of the wrong kind, or at the wrong time.
import type { Chance } from "./chance.ts";
import { frameBytes, opcodes, textFrame } from "./frames.ts";
import type { Saying } from "./saying.ts";

const kinds = {
  "unknown type": 3,
  empty: 1,
  "open from a client": 2,
  "ping from a client": 2,
  "pongs nobody asked for": 3,
  "probe on a live socket": 3,
  "upgrade without a probe": 3,
  noop: 2,
  "message of nothing": 2,
  "binary as base64": 2,
  "binary message": 2,
  "several in one": 2,
  close: 1,
} as const;

/** More than a healthy client says in half an hour. */
const flood = 100;

export function sayEngine(chance: Chance): Saying {
  const kind = chance.weighted(kinds);
  return { name: `engine: ${kind}`, bytes: bytesOf(kind, chance) };
}

function bytesOf(kind: keyof typeof kinds, chance: Chance): Buffer {
  const texts = (...all: readonly string[]) => Buffer.concat(all.map(textFrame));
  switch (kind) {
    case "unknown type":
      return texts(chance.pick(["7", "8", "9x", "x", "-1", " 4", "\u0000", "{}", "٤2"]));
    case "empty":
      return texts("");
    case "open from a client":
      return texts('0{"sid":"x","upgrades":["websocket"],"pingInterval":1,"pingTimeout":1}');
    case "ping from a client":
      return texts("2", "2", "2");
    case "pongs nobody asked for":
      return texts(...new Array<string>(1 + chance.below(flood)).fill("3"));
    case "probe on a live socket":
      return texts("2probe", "3probe", "5");
    case "upgrade without a probe":
      return texts("5", "5");
    case "noop":
      return texts("6", "6", "6");
    case "message of nothing":
      return texts("4");
    case "binary as base64":
      return texts(chance.pick(["bAAEC", "b", "b!!!", `b${"A".repeat(1_000)}`]));
    case "binary message":
      return frameBytes({ opcode: opcodes.binary, payload: chance.bytes(1 + chance.below(64)) });
    case "several in one":
      return texts("40/parcels,{}\u001e42/parcels,[1]\u001e1");
    case "close":
      return texts("1", "42/parcels,[1]");
  }
}
