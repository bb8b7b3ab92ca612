import { Decoder, Encoder, type Packet, PacketType } from "socket.io-parser";

/** The content of an event packet as JSON text, such as `["pickup",{…}]`: encoded once, sent as often as needed. */
export class PacketText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Socket.IO's own encoder, but a packet whose first argument is a `PacketText` goes out as that text. */
export class PacketTextEncoder extends Encoder {
  override encode(packet: Packet): ReturnType<Encoder["encode"]> {
    const content: unknown = packet.type === PacketType.EVENT ? packet.data[1] : undefined;
    if (!(content instanceof PacketText)) return super.encode(packet);
    return [`${PacketType.EVENT}${packet.nsp},${packet.id ?? ""}${content.text}`];
  }
}

/** For Socket.IO's `parser` option on either side. The wire is that of the default parser. */
export const parser = { Encoder: PacketTextEncoder, Decoder };
