import { Chance } from "../../src/fuzz/chance.ts";
import { FrameReader, frameBytes, opcodes } from "../../src/fuzz/frames.ts";

const frames = [0, 1, 125, 126, 65_535, 65_536].map((length) => ({
  opcode: opcodes.text,
  payload: Buffer.alloc(length, "x"),
  isMasked: false,
}));

it("reads the frames that it writes, however the bytes are cut", () => {
  const bytes = Buffer.concat(frames.map(frameBytes));
  const chance = new Chance(1);
  for (const most of [1_000_000, 70_000, 3_000]) {
    const read: number[] = [];
    const reader = new FrameReader((opcode, payload) => {
      expect(opcode).toBe(opcodes.text);
      read.push(payload.length);
    });
    for (let start = 0; start < bytes.length; ) {
      const end = start + 1 + chance.below(most);
      reader.push(bytes.subarray(start, end));
      start = end;
    }
    expect(read).toEqual([0, 1, 125, 126, 65_535, 65_536]);
  }
});

it("writes what RFC 6455 allows, and what it does not", () => {
  const payload = Buffer.from("hi");
  expect([...frameBytes({ opcode: 1, payload })]).toEqual([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]);
  const wrong = { opcode: 3, payload, isFinal: false, reserved: 7, isMasked: false, toldLength: 5 };
  expect([...frameBytes(wrong)]).toEqual([0x73, 0x05, 0x68, 0x69]);
});
