import { generateKeyPairSync, sign } from "node:crypto";

/** One value of ASN.1 in DER (X.690). */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size = length < 128 ? [length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const sequence = (...parts: readonly Buffer[]) => der(0x30, ...parts);
const objectId = (hex: string) => der(0x06, Buffer.from(hex, "hex"));
const bits = (content: Buffer) => der(0x03, Buffer.from([0]), content);
const extension = (id: string, content: Buffer) => sequence(objectId(id), der(0x04, content));

/** A new key, and a certificate of its own making for 127.0.0.1 (RFC 5280), both PEM: nothing that is a secret is kept. */
export function selfSigned(): { readonly cert: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(objectId("2a8648ce3d040302")); // ecdsa-with-SHA256
  const name = sequence(der(0x31, sequence(objectId("550403"), der(0x0c, Buffer.from("orrery test")))));
  const time = (text: string) => der(0x17, Buffer.from(text));
  const isAuthority = extension("551d13", sequence(der(0x01, Buffer.from([0xff]))));
  const address = extension("551d11", sequence(der(0x87, Buffer.from([127, 0, 0, 1]))));
  const content = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, Buffer.from([1])),
    algorithm,
    name,
    sequence(time("200101000000Z"), time("491231235959Z")),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(isAuthority, address)),
  );
  const whole = sequence(content, algorithm, bits(sign("sha256", content, privateKey)));
  const lines = whole.toString("base64").replace(/.{64}/g, "$&\n");
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}
