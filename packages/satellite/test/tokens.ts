/** A token as it looks; no hub of ours would take it. Times in milliseconds since 1970; `null`: it does not say. */
export function tokenOf({
  name = "ünicode",
  issuedMs = Date.now(),
  expiresMs,
}: {
  readonly name?: string;
  readonly issuedMs?: number | null;
  readonly expiresMs: number | null;
}): string {
  const part = (claims: object) => Buffer.from(JSON.stringify(claims)).toString("base64url");
  const claims = {
    sub: "vendor:acme",
    name,
    ...(issuedMs !== null && { iat: issuedMs / 1_000 }),
    ...(expiresMs !== null && { exp: expiresMs / 1_000 }),
  };
  return `${part({ alg: "none" })}.${part(claims)}.signature`;
}
