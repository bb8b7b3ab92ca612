export { developmentKey, type Key, keyFrom, readKey } from "./key.ts";
export { signToken, type TokenClaims } from "./sign.ts";
export { identityOf } from "./subject.ts";
export {
  type Credentials,
  type TokenEnvironment,
  type TokenSource,
  tokenSource,
  tokenVariables,
} from "./token-source.ts";
export { type KeySource, type Presented, type TokenCheck, tokenCheck } from "./verify.ts";
