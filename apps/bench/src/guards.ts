import { setImmediate as nextTurn } from "node:timers/promises";
import { type Identity, isWithin, ownRooms, roomsOf, scopeOf } from "@orrery/contracts";
import { parcels } from "@orrery/contracts/parcels";
import { defaultLimits } from "@orrery/hub-core";
import {
  admit,
  endOf,
  Holds,
  Meter,
  rateRefusal,
  type Session,
  silentLogger,
  Tally,
  unsentBytes,
} from "./hub-inside.ts";
import { parcelOf } from "./parcel.ts";
import { type Message, readOf, Speaker } from "./speaker.ts";

/** What the hub asks of a message, or of each event in it, before it takes it. */
export const guardNames = ["arrival", "session", "rate", "shape", "rights", "load"] as const;
export type GuardName = (typeof guardNames)[number];

/** Whether the message may pass. */
type Guard = (speaker: Speaker, message: Message) => boolean;

const { pickup } = parcels.events;
const limits = defaultLimits;
const owner: Identity = { role: "vendor", id: "acme" };
/** May not emit `pickup`. */
const stranger: Identity = { role: "driver", id: "d1" };
const options = { id: "01981d6f-6ad3-7000-8000-000000000000" };
const hourMs = 3_600_000;

/** The hub's own functions, with its default limits, and nothing else of it. `nowMs`: a clock that is never set back. */
export class Guards {
  readonly #meter: Meter;
  readonly #judge;
  readonly #onTheirWay: (() => void)[] = [];

  readonly mayPass: Readonly<Record<GuardName, Guard>> = {
    /** Bytes and messages are counted, and no connection keeps the event loop. */
    arrival: (speaker, message) => {
      speaker.say(message);
      return !speaker.isHeldBack;
    },
    /** The token has not run out, and is not revoked. */
    session: ({ socket }) => endOf(socket.data.session, Date.now()) === undefined,
    /** The connection, and its satellite with all its connections, have not said too much. */
    rate: ({ socket }, { name, args }) => rateRefusal(this.#judge, socket, name, args) === undefined,
    /** The data is not too deep, and has no key that is reserved. A stranger is refused right after that, which counts too. */
    shape: (_speaker, { events }) =>
      events.every((data) => {
        const refusal = admit(parcels, stranger, "pickup", data, options, limits, String, 0, { vain: 0 });
        return "code" in refusal && refusal.code === "FORBIDDEN";
      }),
    /** The satellite may emit the event, and it is its own. The event's rooms, which the log needs anyway, count too. */
    rights: ({ socket: { data } }, { events }) =>
      events.every((parcel) =>
        isWithin(scopeOf(pickup.emit, data.identity.role), ownRooms(data.identity), roomsOf(pickup, parcel)),
      ),
    /** Not too much of it is on its way to disk, and it reads its receipts. */
    load: (speaker, { dataBytes }) => {
      this.#onTheirWay.push(this.#meter.carry(speaker.socket, dataBytes));
      return !speaker.isHeldBack && unsentBytes(speaker.socket.conn) <= limits.unsentBytes;
    },
  };

  constructor(nowMs: () => number) {
    this.#meter = new Meter(limits, silentLogger, new Tally(), nowMs);
    const publisher = { holds: new Holds(limits.resendMs, nowMs) };
    this.#judge = { contract: parcels, limits, meter: this.#meter, publisher };
  }

  /** A satellite that is there, and watched. */
  connect(expiresMs: number = Date.now() + hourMs): Speaker {
    const session: Session = { issuedMs: Date.now(), expiresMs, graceMs: 0, revokedThroughMs: 0 };
    const speaker = new Speaker(owner, session);
    this.#meter.watch(speaker.socket.conn, "127.0.0.1");
    this.#meter.join(speaker.socket);
    return speaker;
  }

  /** What was on its way to disk is there. */
  commit(): void {
    for (const arrive of this.#onTheirWay.splice(0)) arrive();
  }
}

/** How events come to the hub. */
export interface Traffic {
  readonly messagesPerRead: number;
  readonly eventsPerMessage: number;
}

const connections = 10;
/** So that not always the same is said. */
const reads = 100;
/** On a clock so much faster nobody says too much. */
const clockSpeed = 1_000_000;

/**
 * What an event costs that passes some of the guards, over and over: of ten connections each brings one read in each turn of the
 * event loop. With none it is the loop itself. Microseconds of CPU.
 */
export async function cpuMicrosPerEvent(
  names: readonly GuardName[],
  { messagesPerRead, eventsPerMessage }: Traffic,
  durationMs: number,
): Promise<number> {
  const guards = new Guards(() => performance.now() * clockSpeed);
  const speakers = Array.from({ length: connections }, () => guards.connect());
  const events = (emitter: number) =>
    Array.from({ length: eventsPerMessage }, (_, place) => parcelOf(emitter, place));
  const brought = Array.from({ length: reads }, () =>
    readOf(Array.from({ length: messagesPerRead }, (_, number) => events(number))),
  );
  const asked = names.map((name) => guards.mayPass[name]);
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  let turns = 0;
  for (; performance.now() - startMs < durationMs; turns += 1) {
    for (const speaker of speakers) {
      for (const message of brought[turns % reads] as readonly Message[]) {
        for (const mayPass of asked) {
          if (!mayPass(speaker, message)) throw new Error(`refused: ${names.join(", ")}`);
        }
      }
    }
    await nextTurn();
    guards.commit();
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return (user + system) / (turns * connections * messagesPerRead * eventsPerMessage);
}
