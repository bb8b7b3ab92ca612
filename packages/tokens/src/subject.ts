import { type Identity, satelliteId } from "@orrery/contracts";

const subject = /^([a-z][a-z0-9-]{0,31}):(.*)$/s;

/** From a token's subject, `vendor:acme`; undefined where it is none. */
export function identityOf(text: string): Identity | undefined {
  const [, role, id] = subject.exec(text) ?? [];
  return role !== undefined && id !== undefined && satelliteId.test(id) ? { role, id } : undefined;
}
