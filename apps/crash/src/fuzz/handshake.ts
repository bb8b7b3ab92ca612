import { type Identity, protocolVersion } from "@orrery/contracts";
import type { Chance } from "./chance.ts";
import { hostileValue } from "./hostile.ts";
import { mutated } from "./mutate.ts";

/** How a connection speaks. */
export type Form = "plain" | "batched";

/** Socket.IO's `auth`. */
export interface Auth {
  readonly role: string;
  readonly id: string;
  readonly protocol?: number;
  readonly events?: readonly string[];
  readonly rooms?: readonly string[];
}

/** What the hub takes as a handshake of that satellite. */
export function handshakeOf({ role, id }: Identity, form: Form): Auth {
  return form === "batched" ? { role, id, protocol: protocolVersion } : { role, id };
}

/** One that the hub may refuse. Never in the bystander's name, which in open mode it would have to believe. */
export function wrongHandshake(identity: Identity, form: Form, chance: Chance): unknown {
  const more = { events: ["pickup"], rooms: [`${identity.role}:${identity.id}`] };
  const whole = form === "plain" ? { ...handshakeOf(identity, form), ...more } : handshakeOf(identity, form);
  return chance.oneIn(8) ? hostileValue(chance) : mutated(whole, chance);
}
