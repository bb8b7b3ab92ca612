import { generateKeyPairSync, randomBytes } from "node:crypto";
import { type Key, keyFrom, signToken } from "@orrery/tokens";

/** A new one, that signs and checks. Plain JSON, so that processes can hand it on. */
export function newKey(algorithm: Key["algorithm"]): Key {
  if (algorithm === "HS256") return keyFrom({ kty: "oct", k: randomBytes(32).toString("base64url") });
  return keyFrom(generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" }));
}

/** A token for the contract `parcels`, good for an hour. `satellite`: `vendor:acme`. */
export const tokenFor = (key: Key, satellite: string): Promise<string> =>
  signToken(key, { satellite, contract: "parcels", lifetimeMs: 3_600_000 });
