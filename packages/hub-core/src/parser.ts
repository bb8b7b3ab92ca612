import { OrreryError } from "@orrery/contracts";
import { type Packet, PacketType, parser } from "@orrery/contracts/packet-text";

/** An event has a name, data and options; what more there is, is refused where it is known what for. */
const mostArguments = 16;

/**
 * Socket.IO's own decoder, but what would harm the hub is refused before anybody hears of it: a packet that announces binary
 * attachments at its first byte, since the hub takes plain JSON only, and nothing waits for attachments that may never come;
 * one with so many arguments that a call with them overflows the stack; an ack id that JSON cannot say again; and an event
 * called `error`, which Socket.IO takes for its own.
 */
class JsonDecoder extends parser.Decoder {
  override add(chunk: unknown): void {
    const isBinary = typeof chunk !== "string" || chunk.startsWith("5") || chunk.startsWith("6");
    if (isBinary) throw new OrreryError("BINARY_REFUSED");
    const packet = (this as unknown as Insides).decodeString(chunk);
    if (!isUsable(packet)) throw new OrreryError("PACKET_INVALID");
    this.emitReserved("decoded", packet);
  }
}

/** What the types call private; a test notices if it goes away. */
interface Insides {
  decodeString(text: string): Packet;
}

function isUsable({ type, id, data }: Packet): boolean {
  if (type !== PacketType.EVENT && type !== PacketType.ACK) return true;
  if (id !== undefined && !Number.isSafeInteger(id)) return false;
  return data.length <= mostArguments && !(type === PacketType.EVENT && data[0] === "error");
}

/** For the `parser` option of Socket.IO's server. */
export const hubParser = { Encoder: parser.Encoder, Decoder: JsonDecoder };
