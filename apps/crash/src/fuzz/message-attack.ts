// Orrery's messages, mostly right.
import type { Chance } from "./chance.ts";
import { textFrame } from "./frames.ts";
import type { Form } from "./handshake.ts";
import { hostileNames, hostileText, hostileValue } from "./hostile.ts";
import { jsonText, RawJson } from "./json-text.ts";
import { entry, messages, messageWeights, type Speaker } from "./messages.ts";
import { mutated } from "./mutate.ts";
import type { Saying } from "./saying.ts";

/** One message in so many is wrong in one place, of those half in another one too. */
const wrongEvery = 3;
/** One in so many does not ask for an ack. */
const silentEvery = 10;
/** Things in a list that is checked one by one. */
const manyRooms = 500_000;

/** An event with a name of the wire or of the contract. `ackId` is the connection's next. */
export function sayMessage(chance: Chance, speaker: Speaker, form: Form, ackId: number): Saying {
  const [name, args] = told(chance, speaker, form);
  const isAsking = !chance.oneIn(silentEvery);
  const text = `42/parcels,${isAsking ? ackId : ""}${jsonText(args)}`;
  // A name that Socket.IO keeps for itself ends the connection.
  const isRight = typeof args[0] === "string" && !reserved.has(args[0]);
  return { name, bytes: textFrame(text), ...(isAsking && isRight && { awaits: [ackId] }) };
}

/** An event as it should be, in a form that all connections may use. */
export function sayEvent(chance: Chance, speaker: Speaker, ackId: number): Saying {
  const [event, ...args] = entry(chance, speaker);
  const text = `42/parcels,${ackId}${jsonText([event, ...args])}`;
  return { name: `${event}, plain`, bytes: textFrame(text), awaits: [ackId] };
}

const reserved: ReadonlySet<string> = new Set([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
]);

function told(
  chance: Chance,
  speaker: Speaker,
  form: Form,
): readonly [name: string, args: readonly unknown[]] {
  const kind = chance.weighted(
    form === "plain" ? { plain: 8, batched: 3, other: 1 } : { plain: 2, batched: 20, other: 1 },
  );
  const isWrong = chance.oneIn(wrongEvery);
  const wrong = <One>(value: One): unknown => {
    if (!isWrong) return value;
    const once = mutated(value, chance);
    return chance.oneIn(2) ? mutated(once, chance) : once;
  };
  switch (kind) {
    case "plain": {
      const [event, ...args] = entry(chance, speaker);
      return [`${event}, plain`, [event, ...args.map((one, place) => (place === 0 ? wrong(one) : one))]];
    }
    case "batched": {
      const message = chance.weighted(messageWeights);
      const right = messages[message](chance, speaker);
      const isMany = message === "hub:listen" && chance.oneIn(50);
      const argument = isMany
        ? { ...right, rooms: new RawJson(`[0${",0".repeat(manyRooms)}]`) }
        : wrong(right);
      const more = chance.oneIn(40) ? [hostileValue(chance)] : [];
      return [message, [message, argument, ...more]];
    }
    case "other": {
      const odd = chance.oneIn(2) ? chance.pick(hostileNames) : hostileText(chance);
      const name = chance.oneIn(6) ? "error" : odd;
      return ["an event of no contract", [name, hostileValue(chance), hostileValue(chance)]];
    }
  }
}
