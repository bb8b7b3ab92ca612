import { OrreryError } from "@orrery/contracts";
import { parser } from "@orrery/contracts/packet-text";

/**
 * Socket.IO's own decoder, but a packet that announces binary attachments is refused at its first byte, since the hub
 * takes plain JSON only: nothing waits for attachments that may never come.
 */
class JsonDecoder extends parser.Decoder {
  override add(chunk: unknown): void {
    const isBinary = typeof chunk !== "string" || chunk.startsWith("5") || chunk.startsWith("6");
    if (isBinary) throw new OrreryError("BINARY_REFUSED");
    super.add(chunk);
  }
}

/** For the `parser` option of Socket.IO's server. */
export const hubParser = { Encoder: parser.Encoder, Decoder: JsonDecoder };
