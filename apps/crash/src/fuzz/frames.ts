// WebSocket frames as RFC 6455 has them, and as it does not.

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
  /** Default: it is the last of its message. */
  readonly isFinal?: boolean;
  /** The three reserved bits, 0 to 7. Default 0: as they must be. */
  readonly reserved?: number;
  /** Default: masked, as what a client says must be. */
  readonly isMasked?: boolean;
  /** What the frame says that its payload takes. Default: the truth. Bytes. */
  readonly toldLength?: number;
}

/** The mask takes part in no secret here: one that is always the same shows in a trace what was said. */
const mask = Buffer.from([0, 0, 0, 0]);

export function frameBytes({
  opcode,
  payload,
  isFinal = true,
  reserved = 0,
  isMasked = true,
  toldLength = payload.length,
}: Frame): Buffer {
  const first = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode;
  const maskBit = isMasked ? 0x80 : 0;
  const masking = isMasked ? [mask] : [];
  if (toldLength < 126) {
    return Buffer.concat([Buffer.from([first, maskBit | toldLength]), ...masking, payload]);
  }
  const isShort = toldLength < 2 ** 16;
  const head = Buffer.alloc(isShort ? 4 : 10);
  head[0] = first;
  head[1] = maskBit | (isShort ? 126 : 127);
  if (isShort) head.writeUInt16BE(toldLength, 2);
  else head.writeBigUInt64BE(BigInt(toldLength), 2);
  return Buffer.concat([head, ...masking, payload]);
}

/** One text message. */
export const textFrame = (text: string): Buffer =>
  frameBytes({ opcode: opcodes.text, payload: Buffer.from(text) });

/** Takes the frames of a server, which are not masked and come whole, out of a stream of bytes. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  readonly #onFrame: (opcode: number, payload: Buffer) => void;

  constructor(onFrame: (opcode: number, payload: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const [first, second] = this.#rest;
      if (first === undefined || second === undefined) return;
      const short = second & 0x7f;
      const headLength = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (this.#rest.length < headLength) return;
      const length =
        short < 126
          ? short
          : short === 126
            ? this.#rest.readUInt16BE(2)
            : Number(this.#rest.readBigUInt64BE(2));
      const end = headLength + length;
      if (this.#rest.length < end) return;
      const payload = this.#rest.subarray(headLength, end);
      this.#rest = this.#rest.subarray(end);
      this.#onFrame(first & 0x0f, payload);
    }
  }
}
