// Socket.IO packets that are none, that nobody asked for, or that come at the wrong time.
import type { Chance } from "./chance.ts";
import { frameBytes, opcodes, textFrame } from "./frames.ts";
import { handshakeOf } from "./handshake.ts";
import { hostileNames, hostileText, hostileValue, manyArguments } from "./hostile.ts";
import { jsonText } from "./json-text.ts";
import type { Speaker } from "./messages.ts";
import type { Saying } from "./saying.ts";

const kinds = {
  "unknown type": 2,
  "no JSON": 3,
  "data of the wrong kind": 3,
  "ack id, odd": 3,
  "ack nobody asked for": 3,
  "binary event": 3,
  "binary event, attachments missing": 2,
  "binary event, attachments superfluous": 2,
  "another namespace": 4,
  "connect twice": 2,
  "connects at once": 0.5,
  "error from a client": 2,
  "event, then the end": 3,
  "the end, then an event": 3,
  "event, then no packet": 3,
  "odd event name": 4,
  "event of anything": 4,
  "many arguments": 2,
} as const;

/** Namespaces that are not there, and `/`, which serves nothing. */
const namespaces = ["/", "/nothing", "/parcels?x=1", "/__proto__", "/Parcels", "/parcels/", "/*", "parcels"];

export function sayPackets(chance: Chance, speaker: Speaker): Saying {
  const kind = chance.weighted(kinds);
  const { auth, introduces } = handshakeOf(speaker.identity, "batched", speaker.issuer);
  const bytes = bytesOf(kind, chance, `0/parcels,${JSON.stringify(auth)}`);
  return { name: `packet: ${kind}`, bytes, ...(connecting.has(kind) && { introduces }) };
}

/** With a right handshake. */
const connecting: ReadonlySet<string> = new Set(["connect twice", "connects at once"]);

function bytesOf(kind: keyof typeof kinds, chance: Chance, connect: string): Buffer {
  const packets = (...all: readonly string[]) => Buffer.concat(all.map((packet) => textFrame(`4${packet}`)));
  const attachment = () => frameBytes({ opcode: opcodes.binary, payload: chance.bytes(8) });
  const listen = `2/parcels,7${jsonText(["hub:listen", { events: ["pickup"] }])}`;
  const odd = chance.weighted({ known: 5, long: 1, hostile: 3 });
  const name = { known: chance.pick(hostileNames), long: "n".repeat(100_000), hostile: hostileText(chance) }[
    odd
  ];
  switch (kind) {
    case "unknown type":
      return packets(chance.pick(["7/parcels,", "8", "9/parcels,[1]", "x", "-1", ""]));
    case "no JSON":
      return packets(
        `2/parcels,${chance.pick(["", "[", '["x"', '["x",}', "[NaN]", "['x']", '["x",1e]', "undefined", '"x"]'])}`,
      );
    case "data of the wrong kind":
      return packets(`${chance.pick([2, 3, 0, 1, 4])}/parcels,${jsonText(hostileValue(chance))}`);
    case "ack id, odd":
      return packets(
        `2/parcels,${chance.pick(["-1", "9".repeat(400), "00", "1.5", "1e3"])}["hub:groups",{}]`,
      );
    case "ack nobody asked for":
      return packets(`3/parcels,${chance.pick(["0", "1", "999999", "", "9".repeat(30)])}[{"parked":[]}]`);
    case "binary event":
      return Buffer.concat([packets('51-/parcels,["x",{"_placeholder":true,"num":0}]'), attachment()]);
    case "binary event, attachments missing":
      return packets(`5${chance.pick(["2", "999999999", "-1", "", "1e9"])}-/parcels,["x"]`, listen);
    case "binary event, attachments superfluous":
      return Buffer.concat([packets('61-/parcels,1["x"]'), attachment(), attachment(), attachment()]);
    case "another namespace":
      return packets(
        `${chance.pick([0, 0, 0, 2])}${chance.pickOr([...namespaces, `/${name}`], "/")},${jsonText(hostileValue(chance))}`,
      );
    case "connect twice":
      return packets(connect, connect);
    case "connects at once":
      return packets(...new Array<string>(50).fill("0/nothing,"), connect);
    case "error from a client":
      return packets('4/parcels,{"message":"no"}');
    case "event, then the end":
      return packets(listen, "1/parcels,");
    case "the end, then an event":
      return packets("1/parcels,", listen);
    case "event, then no packet":
      return packets(listen, "2/parcels,[");
    case "odd event name":
      return packets(`2/parcels,3${jsonText([chance.oneIn(4) ? hostileValue(chance) : name, {}])}`);
    case "event of anything":
      return packets(`2/parcels,4${jsonText(["pickup", hostileValue(chance), hostileValue(chance)])}`);
    case "many arguments": {
      const many = manyArguments();
      return packets(`${chance.pick([2, 2, 3])}/parcels,5["x",${many}]`);
    }
  }
}
