import { OrreryError } from "@orrery/contracts";
import { type Packet, PacketType, parser } from "@orrery/contracts/packet-text";

/** An event has a name, data and options; what more there is, is refused where it is known what for. */
const mostArguments = 16;
/**
 * A connection joins a contract or a few, and again now and then. Each time costs an answer: 10,000 of them in one message of
 * long polling took 0.4 s.
 */
const mostConnects = 1_000;

/**
 * Socket.IO's own decoder, but what would harm the hub is refused before anybody hears of it: a packet that announces binary
 * attachments at its first byte, since the hub takes plain JSON only, and nothing waits for attachments that may never come;
 * one with so many arguments that a call with them overflows the stack; an ack id that JSON cannot say again; an event called
 * `error`, which Socket.IO takes for its own; and a connection that joins without end.
 */
class JsonDecoder extends parser.Decoder {
  #connects = 0;

  override add(chunk: unknown): void {
    const isBinary = typeof chunk !== "string" || chunk.startsWith("5") || chunk.startsWith("6");
    if (isBinary) throw new OrreryError("BINARY_REFUSED");
    const packet = (this as unknown as Insides).decodeString(chunk);
    if (packet.type === PacketType.CONNECT) this.#connects += 1;
    if (!isUsable(packet) || this.#connects > mostConnects) throw new OrreryError("PACKET_INVALID");
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
