import { Decoder, Encoder, type Packet, PacketType } from "socket.io-parser";

/** The content of an event packet as JSON text, such as `["pickup",{…}]`: encoded once, sent as often as needed. */
export class PacketText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/**
 * Writes what Socket.IO's own encoder writes, but a packet whose first argument is a `PacketText` goes out as that text, and
 * nothing is searched for binary attachments: Orrery's messages are plain JSON.
 */
export class PacketTextEncoder extends Encoder {
  override encode({ type, nsp, id, data }: Packet): [string] {
    const content =
      type === PacketType.EVENT && data[1] instanceof PacketText ? data[1].text : JSON.stringify(data);
    return [`${type}${nsp === "/" ? "" : `${nsp},`}${id ?? ""}${content ?? ""}`];
  }
}

export { type Packet, PacketType };

/** For Socket.IO's `parser` option on either side. The wire is that of the default parser. */
export const parser = { Encoder: PacketTextEncoder, Decoder };
