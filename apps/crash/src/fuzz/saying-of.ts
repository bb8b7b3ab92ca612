import type { Chance } from "./chance.ts";
import { sayEngine } from "./engine-attack.ts";
import { sayFrames } from "./frame-attack.ts";
import { sayHttp } from "./http-attack.ts";
import { sayIdentity } from "./identity-attack.ts";
import { sayMessage } from "./message-attack.ts";
import type { Speaker } from "./messages.ts";
import { sayPackets } from "./packet-attack.ts";
import type { Saying } from "./saying.ts";
import type { Session } from "./session.ts";

/** What a visit says at this step, which is its ack id, too. `ownSid`: of the polling connection that it has opened. Pure. */
export function sayingOf(
  { kind, identity, form }: Session,
  step: number,
  chance: Chance,
  about: Omit<Speaker, "identity">,
  ownSid?: string,
): Saying {
  const speaker = { ...about, identity };
  switch (kind) {
    case "http":
      return sayHttp(chance, speaker, ownSid);
    case "frames":
      return sayFrames(chance);
    case "engine":
      return sayEngine(chance);
    case "packets":
      return sayPackets(chance, speaker);
    case "messages":
      return sayMessage(chance, speaker, form, step);
    case "tokens":
      return sayIdentity(chance, speaker, form, step);
  }
}
