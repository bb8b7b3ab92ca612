import { setTimeout as pause } from "node:timers/promises";
import type { Issuer } from "./issuer.ts";
import type { Known } from "./known.ts";
import type { Pace } from "./pace.ts";
import { playHttp } from "./play-http.ts";
import { playSocket } from "./play-socket.ts";
import type { Revocations } from "./revocations.ts";
import type { Session } from "./session.ts";
import type { Tally } from "./tally.ts";

/** What all visits have in common. */
export interface Stand {
  readonly port: number;
  readonly seed: number;
  readonly pace: Pace;
  readonly tally: Tally;
  readonly known: Known;
  /** Of right tokens; undefined: the hub is in open mode. */
  readonly issuer: Issuer | undefined;
  readonly revocations: Revocations;
  /** How long an answer may take that the protocol promises. Milliseconds. */
  readonly answerMs: number;
  /** Ends all visits. */
  readonly signal: AbortSignal;
}

/** So that nobody calls in a circle at a hub that is gone. Milliseconds. */
const refusedMs = 200;

/** Carries out one visit. Resolves when its connections are gone. Rejects with the signal's reason. */
export async function play(session: Session, place: number, stand: Stand): Promise<void> {
  stand.tally.session();
  const how = await (session.kind === "http" ? playHttp : playSocket)(session, place, stand);
  if (how === "refused") await pause(refusedMs, undefined, { signal: stand.signal });
}
