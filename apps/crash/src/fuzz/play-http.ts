import { setTimeout as pause } from "node:timers/promises";
import type { Stand } from "./play.ts";
import { insideOf } from "./reply.ts";
import { sayingOf } from "./saying-of.ts";
import { chanceOf, type Session } from "./session.ts";
import { Wire } from "./wire.ts";

/** How long an answer is listened to. A poll that has nothing to tell would take 25 s. Milliseconds. */
const listenMs = 400;

/** A connection for each step. Answers with how the last one ended. */
export async function playHttp(session: Session, place: number, stand: Stand): Promise<string> {
  const { port, seed, pace, tally, known, issuer, signal } = stand;
  const about = { known, issuer, isLetIn: false, claims: [] };
  let ownSid: string | undefined;
  let how = "dropped";
  for (let step = 0; step < session.steps; step += 1) {
    await pace.turn();
    const saying = sayingOf(session, step, chanceOf(seed, place, step, "says"), about, ownSid);
    const wire = Wire.open(port);
    const drop = () => wire.drop();
    signal.addEventListener("abort", drop);
    const told: Buffer[] = [];
    wire.onBytes = (bytes) => told.push(bytes);
    tally.said(place, saying);
    wire.write(saying.bytes);
    await Promise.race([wire.ended, pause(listenMs)]);
    wire.drop(session.ends === "resetting" ? "reset" : "end");
    how = await wire.ended;
    signal.removeEventListener("abort", drop);
    const text = Buffer.concat(told).toString("latin1");
    tally.count("ended", `http: ${/^HTTP\/1\.1 \d+/.exec(text)?.[0] ?? `no answer, ${how}`}`);
    const leak = insideOf(text);
    if (leak !== undefined)
      tally.fault("text of the hub's inside, told outside", { said: saying.name, leak });
    const [, sid] = /"sid":"([^"]+)"/.exec(text) ?? [];
    if (sid !== undefined) {
      ownSid = sid;
      known.learnSid(sid);
    }
    if (how === "refused") break;
  }
  return how;
}
