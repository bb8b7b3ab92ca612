// A process with live listeners whose connections may break, as programs write them.
import { parcels } from "@orrery/contracts/parcels";
import { connect } from "@orrery/satellite";
import { io } from "socket.io-client";
import { answerParent } from "../child.ts";
import { clockMs } from "../clock.ts";
import { placeOf } from "../parcel.ts";

/** As the satellite package has it, for Socket.IO's own client too: away for 100 to 300 ms. */
const reconnectionDelay = 200;

const connectingAtOnce = 10;

interface Hearer {
  readonly heard: Set<number>;
  last: number;
}

const hearers: Hearer[] = [];
let delivered = 0;
let duplicates = 0;
let disordered = 0;
let lastMs = 0;

function hear(hearer: Hearer, sequence: number): void {
  if (sequence < hearer.last) disordered += 1;
  hearer.last = Math.max(hearer.last, sequence);
  if (hearer.heard.has(sequence)) {
    duplicates += 1;
    return;
  }
  hearer.heard.add(sequence);
  delivered += 1;
  lastMs = clockMs();
}

async function connectSdk(url: string, number: number, hearer: Hearer): Promise<void> {
  const logger = connect(parcels, { url, role: "logger", id: `h${number}` });
  logger.on("pickup", (parcel) => hear(hearer, placeOf(parcel).sequence));
  await logger.ready();
}

async function connectPlain(url: string, number: number, hearer: Hearer): Promise<void> {
  const auth = { role: "logger", id: `h${number}` };
  const options = { auth, transports: ["websocket"], forceNew: true, reconnectionDelay };
  const socket = io(`${url}/parcels`, options);
  socket.on("pickup", (parcel) => hear(hearer, placeOf(parcel).sequence));
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
}

export type HearersAnswers = typeof answers;
const answers = answerParent({
  /** Resolves when all of them hear. */
  async connect(kind: "sdk" | "plain", url: string, count: number): Promise<void> {
    for (let first = 0; first < count; first += connectingAtOnce) {
      const numbers = Array.from(
        { length: Math.min(connectingAtOnce, count - first) },
        (_, place) => first + place,
      );
      await Promise.all(
        numbers.map((number) => {
          const hearer = { heard: new Set<number>(), last: -1 };
          hearers.push(hearer);
          return (kind === "sdk" ? connectSdk : connectPlain)(url, number, hearer);
        }),
      );
    }
  },

  /** What was heard so far, over all of them; `lastMs` on the machine's clock. */
  heard: () => ({ delivered, duplicates, disordered, lastMs }),
});
