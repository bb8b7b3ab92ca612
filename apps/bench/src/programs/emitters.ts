// A process with emitters, and one listener beside them, so that an event's way there and back is on one clock.

import { setTimeout } from "node:timers/promises";
import { type Parcel, parcels } from "@orrery/contracts/parcels";
import { connect } from "@orrery/satellite";
import { io } from "socket.io-client";
import { answerParent } from "../child.ts";
import { clockMs } from "../clock.ts";
import { largeParcelOf, parcelOf } from "../parcel.ts";
import { type Form, RawListeners } from "../raw-listeners.ts";
import { type Latency, latencyOf } from "../statistics.ts";

/** `sdk`: the satellite package. `plain`: an ordinary Socket.IO client. */
export type EmitterKind = "sdk" | "plain";

/** Resolves with the offset when the server has acked; null where the server keeps nothing. */
type Emit = (parcel: Parcel) => Promise<number | null>;

export interface Sent {
  /** Events acked, from the first one on. */
  readonly events: number;
  /** Over which time. Milliseconds. */
  readonly wallMs: number;
  /** From `emit` to the ack, or to the arrival at this process's listener. Milliseconds. */
  readonly latencyMs: Latency;
}

const emitters: { readonly emit: Emit; sent: number; lastOffset: number }[] = [];
const listener = new RawListeners();

async function connectEmitter(kind: EmitterKind, url: string, token?: string): Promise<Emit> {
  const who = token === undefined ? ({ role: "vendor", id: "acme" } as const) : { token };
  if (kind === "sdk") {
    const vendor = connect(parcels, { url, ...who });
    await vendor.ready();
    return async (parcel) => (await vendor.emit("pickup", parcel)).offset;
  }
  // `events: []`: an emitter hears nothing.
  const auth = { ...who, events: [] };
  const socket = io(`${url}/parcels`, { auth, transports: ["websocket"], forceNew: true });
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
  return (parcel) =>
    new Promise((resolve, reject) => {
      socket.emit("pickup", parcel, (receipt: { ok: boolean; offset?: number }) => {
        if (receipt.ok) resolve(receipt.offset ?? null);
        else reject(new Error(`refused: ${JSON.stringify(receipt)}`));
      });
    });
}

/** Emits the emitter's next event, and checks that its place in the log is behind that of the one before. */
async function emitNext(number: number, isLarge = false): Promise<void> {
  const emitter = emitters[number] as (typeof emitters)[number];
  const parcel = (isLarge ? largeParcelOf : parcelOf)(number, emitter.sent);
  emitter.sent += 1;
  const offset = await emitter.emit(parcel);
  if (offset === null) return;
  if (offset <= emitter.lastOffset) throw new Error(`after offset ${emitter.lastOffset} came ${offset}`);
  emitter.lastOffset = offset;
}

/** Resolves at the next message after which the listener has heard `events`. */
const heard = (events: number) =>
  new Promise<void>((resolve) => {
    listener.onMessage = () => {
      if (listener.heard >= events) resolve();
    };
  });

async function sentSince(startMs: number, latenciesMs: readonly number[]): Promise<Sent> {
  const wallMs = performance.now() - startMs;
  return { events: latenciesMs.length, wallMs, latencyMs: latencyOf(latenciesMs) };
}

export type EmittersAnswers = typeof answers;
const answers = answerParent({
  /** `token`: of `vendor:acme`, for a hub with keys. */
  async connect(kind: EmitterKind, url: string, count: number, token?: string): Promise<void> {
    for (let number = 0; number < count; number += 1) {
      emitters.push({ emit: await connectEmitter(kind, url, token), sent: 0, lastOffset: 0 });
    }
  },

  /** `hasHoles`: others say events that this one does not hear. */
  listen(url: string, form: Form, hasHoles = false): Promise<void> {
    listener.hasHoles = hasHoles;
    return listener.connect(url, form, 1);
  },

  /** Resolves when the listener has heard `events`, all of them in order. */
  until: listener.until.bind(listener),

  /** All emitters at once; each has its share of `inFlight` events without an ack. */
  async inFlight(inFlight: number, durationMs: number): Promise<Sent> {
    const latenciesMs: number[] = [];
    const startMs = performance.now();
    const loop = async (number: number) => {
      for (let nowMs = performance.now(); nowMs - startMs < durationMs; ) {
        await emitNext(number);
        const ackedMs = performance.now();
        latenciesMs.push(ackedMs - nowMs);
        nowMs = ackedMs;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, (_, place) => loop(place % emitters.length)));
    return sentSince(startMs, latenciesMs);
  },

  /** So many events a second, one every few milliseconds, whatever becomes of them. Resolves when all were acked. */
  async steady(
    perSecond: number,
    durationMs: number,
    isLarge = false,
  ): Promise<Sent & { readonly lastMs: number }> {
    const latenciesMs: number[] = [];
    const emittedMs: number[] = [];
    const firstSequence = emitters[0]?.sent ?? 0;
    listener.onMessage = (runs) => {
      const nowMs = performance.now();
      for (const { first, last } of runs) {
        for (let sequence = first; sequence <= last; sequence += 1) {
          const sinceMs = emittedMs[sequence - firstSequence];
          if (sinceMs !== undefined) latenciesMs.push(nowMs - sinceMs);
        }
      }
    };
    const startMs = performance.now();
    const events = Math.round((perSecond * durationMs) / 1_000);
    const acked: Promise<void>[] = [];
    while (emittedMs.length < events) {
      const nowMs = performance.now();
      const due = Math.min(events, 1 + Math.floor(((nowMs - startMs) * perSecond) / 1_000));
      while (emittedMs.length < due) {
        emittedMs.push(performance.now());
        acked.push(emitNext(0, isLarge));
      }
      if (emittedMs.length < events) await setTimeout(2);
    }
    const lastMs = clockMs();
    await Promise.all(acked);
    const wallMs = performance.now() - startMs;
    if (listener.count > 0) await listener.until(firstSequence + events);
    listener.onMessage = () => undefined;
    const latencyMs = latencyOf(latenciesMs.length > 0 ? latenciesMs : [0]);
    return { events, wallMs, latencyMs, lastMs };
  },

  /** So many events, some hundreds at a time. Resolves when all were acked. */
  async batch(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 250) {
      await Promise.all(Array.from({ length: Math.min(left, 250) }, () => emitNext(0)));
    }
  },

  /** One event; when it was acked, on the machine's clock. Milliseconds. */
  async one(): Promise<number> {
    await emitNext(0);
    return clockMs();
  },

  /** Follows under a new name; when the hub knew of it, on the machine's clock. Milliseconds. */
  async follow(url: string): Promise<number> {
    const driver = connect(parcels, { url, role: "driver", id: "new" });
    await driver.follow("pickup", { as: "f" }, () => undefined).ready();
    return clockMs();
  },

  /** One event at a time; the next one when it has arrived. */
  async paced(durationMs: number): Promise<Sent> {
    const latenciesMs: number[] = [];
    const startMs = performance.now();
    for (let nowMs = startMs; nowMs - startMs < durationMs; nowMs = performance.now()) {
      const arrived = heard(listener.heard + 1).then(() => latenciesMs.push(performance.now() - nowMs));
      await Promise.all([emitNext(0), arrived]);
    }
    return sentSince(startMs, latenciesMs);
  },

  /** `size` events at once; the next burst when the last of them has arrived. */
  async bursts(size: number, durationMs: number): Promise<Sent> {
    const latenciesMs: number[] = [];
    const startMs = performance.now();
    for (let nowMs = startMs; nowMs - startMs < durationMs; nowMs = performance.now()) {
      const arrived = heard(listener.heard + size);
      const one = async () => {
        await emitNext(0);
        latenciesMs.push(performance.now() - nowMs);
      };
      await Promise.all([arrived, ...Array.from({ length: size }, one)]);
    }
    return sentSince(startMs, latenciesMs);
  },
});
