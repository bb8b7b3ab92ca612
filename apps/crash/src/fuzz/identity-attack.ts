// Who attackers say they are: handshakes and renewals, with tokens that are right, and with all others.
import { type Identity, nameOf } from "@orrery/contracts";
import { bystander } from "./cast.ts";
import type { Chance } from "./chance.ts";
import { textFrame } from "./frames.ts";
import { type Form, type Handshake, handshakeOf, wishesOf } from "./handshake.ts";
import { hostileValue } from "./hostile.ts";
import type { Issuer } from "./issuer.ts";
import { jsonText } from "./json-text.ts";
import { sayMessage } from "./message-attack.ts";
import type { Speaker } from "./messages.ts";
import { mutated } from "./mutate.ts";
import type { Saying } from "./saying.ts";
import type { Session } from "./session.ts";
import { believed } from "./standing.ts";
import { isSameToken, rightToken, type Shown, wrongToken } from "./token-attack.ts";

/** What is said by whom the hub has let in, and by whom it has not. */
const kinds = {
  in: { renewal: 5, handshake: 1, message: 6 },
  out: { renewal: 1, handshake: 12, message: 1 },
} as const;

/** With which a visit begins. Never in the bystander's name, which in open mode the hub would have to believe. */
export function sayHandshake(
  { kind, identity, form, handshake }: Session,
  chance: Chance,
  issuer: Issuer | undefined,
): Saying {
  if (issuer !== undefined && kind === "tokens") {
    return handshakeWith((handshake === "right" ? rightToken : wrongToken)(chance, identity, issuer), form);
  }
  const { auth, introduces } =
    handshake === "right"
      ? handshakeOf(identity, form, issuer)
      : wrongHandshake(identity, form, chance, issuer);
  return { name: `handshake, ${handshake}`, bytes: connectFrame(auth), introduces };
}

/** A step of a visit that is about who somebody is. `ackId` is the connection's next. */
export function sayIdentity(chance: Chance, speaker: Speaker, form: Form, ackId: number): Saying {
  const { identity, issuer, isLetIn } = speaker;
  const kind = chance.weighted(isLetIn ? kinds.in : kinds.out);
  if (issuer === undefined || kind === "message") return sayMessage(chance, speaker, form, ackId);
  const shown = (chance.oneIn(4) ? rightToken : wrongToken)(chance, identity, issuer);
  if (kind === "handshake") return handshakeWith(shown, form);
  const text = `42/parcels,${ackId}${jsonText(["hub:renew", { token: shown.token }])}`;
  return { name: `hub:renew, ${shown.name}`, bytes: textFrame(text), awaits: [ackId], introduces: shown };
}

function handshakeWith(shown: Shown, form: Form): Saying {
  const auth = { token: shown.token, ...shown.beside, ...wishesOf(form) };
  return { name: `handshake, token ${shown.name}`, bytes: connectFrame(auth), introduces: shown };
}

const connectFrame = (auth: unknown): Buffer => textFrame(`40/parcels,${jsonText(auth)}`);

/** One that the hub may refuse; and must, where it checks tokens and this one is no more what it was, or beside another's name. */
function wrongHandshake(
  identity: Identity,
  form: Form,
  chance: Chance,
  issuer: Issuer | undefined,
): { readonly auth: unknown; readonly introduces: Handshake["introduces"] } {
  const right = handshakeOf(identity, form, issuer);
  const narrowing = { events: ["pickup"], rooms: [nameOf(identity)] };
  const beside = chance.pick([{}, identity, bystander.vendor]);
  const whole = {
    ...right.auth,
    ...(form === "plain" && narrowing),
    ...(issuer !== undefined && beside),
  };
  const auth = chance.oneIn(8) ? hostileValue(chance) : mutated(whole, chance);
  const { role, id, token } = (auth ?? {}) as Readonly<Record<string, unknown>>;
  if (issuer === undefined) {
    const isTold = typeof role === "string" && typeof id === "string";
    return { auth, introduces: believed(isTold ? { role, id } : undefined) };
  }
  const isOther = (role ?? identity.role) !== identity.role || (id ?? identity.id) !== identity.id;
  const isRight = isSameToken(token, String(right.auth.token)) && !isOther;
  return { auth, introduces: { ...right.introduces, fault: isRight ? undefined : "mutated" } };
}
