// WebSocket frames that are none, or come in the wrong order.
import { defaultLimits } from "@orrery/hub-core";
import type { Chance } from "./chance.ts";
import { type Frame, frameBytes, opcodes, textFrame } from "./frames.ts";
import type { Saying } from "./saying.ts";

/** The hub's bound on a message, with what goes just past it. Bytes. */
const tooLong = defaultLimits.messageBytes + 1;

const kinds = {
  "random bytes": 2,
  "random text": 2,
  "random binary": 2,
  "unknown opcode": 2,
  "reserved bits": 2,
  "not masked": 1,
  fragments: 2,
  "fragments, wrong order": 2,
  "fragments, too long": 0.2,
  "too long": 0.2,
  "told too long": 1,
  "cut off": 1,
  "control, long or in parts": 2,
  "pings and pongs": 2,
  close: 2,
  "close, wrong": 2,
  "no UTF-8": 2,
} as const;

export function sayFrames(chance: Chance): Saying {
  const kind = chance.weighted(kinds);
  return { name: `frame: ${kind}`, bytes: bytesOf(kind, chance) };
}

function bytesOf(kind: keyof typeof kinds, chance: Chance): Buffer {
  const payload = () => chance.bytes(chance.pick([0, 1, 5, 125, 126, 300]));
  const frames = (...all: readonly Frame[]) => Buffer.concat(all.map(frameBytes));
  const text = (written: string, more: Partial<Frame> = {}): Frame => ({
    opcode: opcodes.text,
    payload: Buffer.from(written),
    ...more,
  });
  const rest = (written: string, isFinal: boolean): Frame =>
    text(written, { opcode: opcodes.continuation, isFinal });
  switch (kind) {
    case "random bytes":
      return chance.bytes(1 + chance.below(400));
    case "random text":
      return textFrame(chance.bytes(chance.below(200)).toString("latin1"));
    case "random binary":
      return frames({ opcode: opcodes.binary, payload: payload() });
    case "unknown opcode":
      return frames({ opcode: chance.pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), payload: payload() });
    case "reserved bits":
      return frames(text("2", { reserved: 1 + chance.below(7) }));
    case "not masked":
      return frames(text("3", { isMasked: false }));
    case "fragments":
      return frames(text("42/par", { isFinal: false }), rest('cels,["x', false), rest('"]', true));
    case "fragments, wrong order":
      return chance.oneIn(2)
        ? frames(rest("3", true))
        : frames(text("4", { isFinal: false }), text("3"), rest("2", true));
    case "fragments, too long":
      return frames(
        text("4", { isFinal: false }),
        rest("x".repeat(tooLong / 2), false),
        rest("x".repeat(tooLong), true),
      );
    case "too long":
      return textFrame(`4${"x".repeat(tooLong)}`);
    case "told too long":
      return frames(text("4", { toldLength: chance.pick([2 ** 31, 2 ** 32 + 1, 2 ** 53 - 1, tooLong]) }));
    case "cut off":
      return frames(text("42", { toldLength: 50 }));
    case "control, long or in parts":
      return frames({
        opcode: chance.pick([opcodes.ping, opcodes.pong, opcodes.close]),
        payload: chance.bytes(chance.pick([1, 126, 300])),
        isFinal: chance.oneIn(2),
      });
    case "pings and pongs":
      return frames(
        ...Array.from({ length: 1 + chance.below(100) }, () => ({
          opcode: chance.pick([opcodes.ping, opcodes.pong]),
          payload: Buffer.from("here"),
        })),
      );
    case "close":
      return frames({ opcode: opcodes.close, payload: Buffer.alloc(0) }, text("2"), text("3"));
    case "close, wrong":
      return frames({ opcode: opcodes.close, payload: closing(chance) });
    case "no UTF-8":
      return frames({
        opcode: opcodes.text,
        payload: Buffer.from([0x34, 0xc3, 0x28, 0xf8, 0xff, 0xed, 0xa0, 0x80]),
      });
  }
}

/** A code that nobody may send, half a code, or a reason that is no text. */
function closing(chance: Chance): Buffer {
  const code = Buffer.alloc(2);
  code.writeUInt16BE(chance.pick([0, 999, 1_004, 1_005, 1_006, 1_015, 2_999, 5_000, 65_535]));
  return chance.pick([code, code.subarray(0, 1), Buffer.concat([Buffer.from([3, 232]), chance.bytes(20)])]);
}
