export { developmentKey, type Key, keyFrom, readKey } from "./key.ts";
export { signToken, type TokenClaims } from "./sign.ts";
export { type KeySource, type Presented, type TokenCheck, tokenCheck } from "./verify.ts";
