import { setTimeout as pause } from "node:timers/promises";
import type { ClaimRef, DeliveryReply, HeardEntry } from "@orrery/contracts";
import { textFrame } from "./frames.ts";
import { Hearing } from "./hearing.ts";
import { hostileValue, manyArguments } from "./hostile.ts";
import { upgradeText } from "./http-attack.ts";
import { sayHandshake } from "./identity-attack.ts";
import { jsonText } from "./json-text.ts";
import { sayEvent } from "./message-attack.ts";
import { ending, type Speaker } from "./messages.ts";
import type { Stand } from "./play.ts";
import type { Saying } from "./saying.ts";
import { sayingOf } from "./saying-of.ts";
import { chanceOf, type Session } from "./session.ts";
import { believed, Standing } from "./standing.ts";
import { Wire } from "./wire.ts";

/** How long a visitor waits to be let in. Milliseconds. */
const greetingMs = 3_000;
/** How long one that reads late, or not at all, stays after it has said everything. Milliseconds. */
const lateMs = 3_000;
/** How long one that outstays what it may waits for the end of that. Milliseconds. */
const mostStayMs = 45_000;
/** Between two things that it says in that time. Milliseconds. */
const stayingMs = 1_000;
/** Between a goodbye and the end of the connection. Milliseconds. */
const goodbyeMs = 100;

/** A visit over a WebSocket. Answers with how its connection ended. */
export async function playSocket(session: Session, place: number, stand: Stand): Promise<string> {
  const { tally, signal } = stand;
  const wire = Wire.open(stand.port);
  const drop = () => wire.drop();
  signal.addEventListener("abort", drop);
  const visit = new Visit(session, place, wire, stand);
  try {
    await visit.enter();
    await visit.sayAll();
    await visit.leave();
  } finally {
    wire.drop(session.ends === "resetting" ? "reset" : "end");
    signal.removeEventListener("abort", drop);
  }
  const how = await wire.ended;
  tally.count("ended", `${session.kind}: ${visit.hearing.ending ?? how}`);
  return how;
}

class Visit {
  readonly hearing: Hearing;
  readonly #session: Session;
  readonly #place: number;
  readonly #wire: Wire;
  readonly #stand: Stand;
  readonly #standing: Standing;
  #answers = 0;

  constructor(session: Session, place: number, wire: Wire, stand: Stand) {
    this.#session = session;
    this.#place = place;
    this.#wire = wire;
    this.#stand = stand;
    const { tally, known, issuer, revocations } = stand;
    this.#standing = new Standing(revocations, issuer === undefined ? [believed(undefined)] : []);
    this.hearing = new Hearing({
      wire,
      tally,
      known,
      standing: this.#standing,
      place,
      isShared: session.kind !== "messages",
      work: (claim) => this.#work(claim),
      answer: (name, ackId, entries) => this.#answer(name, ackId, entries),
    });
  }

  async enter(): Promise<void> {
    const { seed, issuer } = this.#stand;
    const key = chanceOf(seed, this.#place, -1, "says").bytes(16).toString("base64");
    await this.#say({ name: "upgrade", bytes: Buffer.from(upgradeText(key)) });
    await this.hearing.until(() => this.hearing.isOpen, greetingMs);
    const { handshake, reads } = this.#session;
    if (handshake === "none") return;
    const chance = chanceOf(seed, this.#place, 0, "enters");
    await this.#say(() => sayHandshake(this.#session, chance, issuer));
    await this.hearing.until(() => this.hearing.isConnected || this.hearing.isRefused, greetingMs);
    if (reads !== "always") this.#wire.stopReading();
  }

  async sayAll(): Promise<void> {
    const { steps, reads } = this.#session;
    for (let step = 0; step < steps; step += 1) {
      if (this.hearing.isOver || this.hearing.isTold) return;
      const chance = chanceOf(this.#stand.seed, this.#place, step, "says");
      await this.#say(() => sayingOf(this.#session, step, chance, this.#about));
    }
    if (reads === "late") this.#wire.readOn();
    if (reads !== "always") await pause(lateMs, undefined, { signal: this.#stand.signal });
  }

  async leave(): Promise<void> {
    const { tally, answerMs } = this.#stand;
    const { ends, reads, kind, identity } = this.#session;
    const { hearing } = this;
    if (ends === "outstaying" && reads === "always") await this.#outstay();
    if (hearing.isTold) {
      const isEnded = await hearing.until(() => hearing.isOver, answerMs);
      const { ending } = hearing;
      if (!isEnded)
        tally.fault("hub:close, and the connection went on", { place: this.#place, kind, ending });
    } else if (ends === "waiting" && reads === "always") {
      const isDone = await hearing.until(() => hearing.unanswered.length === 0, answerMs);
      const { unanswered } = hearing;
      if (!isDone && !hearing.isOver && hearing.isConnected) {
        tally.fault("a right message without an answer", { place: this.#place, identity, unanswered });
      }
    } else if (ends === "closing") {
      this.#wire.write(Buffer.concat([textFrame("41/parcels,"), textFrame("1")]));
      await pause(goodbyeMs);
    }
  }

  /** Says something now and then until the hub ends what is over, if that is soon. */
  async #outstay(): Promise<void> {
    const { hearing } = this;
    const { seed, answerMs, tally } = this.#stand;
    const { identity, steps } = this.#session;
    const isThere = () => hearing.isConnected && !hearing.isTold && !hearing.isOver;
    for (let step = steps; isThere(); step += 1) {
      const lateMs = Date.now() - this.#standing.overMs;
      if (lateMs < -mostStayMs) return;
      const chance = chanceOf(seed, this.#place, step, "says");
      await this.#say(() => sayEvent(chance, { ...this.#about, identity }, step));
      await hearing.until(() => hearing.isTold, stayingMs);
      // Only now: where the machine stood still, the hub had no time yet to say so, nor this process to hear it.
      if (lateMs > answerMs && isThere()) {
        const late = { place: this.#place, name: "the connection", lateMs };
        return tally.fault("served when its token was over, or revoked", late);
      }
    }
  }

  /** When it is its turn, and still can be said. */
  async #say(saying: Saying | (() => Saying)): Promise<void> {
    const { pace, tally } = this.#stand;
    await pace.turn();
    if (this.hearing.isOver) return;
    const said = typeof saying === "function" ? saying() : saying;
    tally.said(this.#place, said);
    this.hearing.expect(said, Date.now());
    this.#wire.write(said.bytes);
  }

  get #about(): Omit<Speaker, "identity"> {
    const { known, issuer } = this.#stand;
    const { claims, isConnected } = this.hearing;
    return { known, issuer, isLetIn: isConnected, claims };
  }

  /** Mostly settles at once what it is given; the rest is for its steps, or runs out. */
  #work({ group, offset, token }: ClaimRef): void {
    this.#answers += 1;
    const chance = chanceOf(this.#stand.seed, this.#place, this.#answers, "answers");
    const speaker = { ...this.#about, identity: this.#session.identity };
    const settle = { group, settles: [{ offset, token, ...ending(chance, speaker) }] };
    if (chance.oneIn(3)) return;
    const text = `42/parcels,${jsonText(["hub:settle", settle])}`;
    this.#say({ name: "hub:settle, at once", bytes: textFrame(text) }).catch(() => undefined); // the run is over
  }

  /** Mostly as the wire has it; the hub must not mind anything else. */
  #answer(name: string, ackId: string, entries: readonly HeardEntry[]): void {
    this.#answers += 1;
    const { seed, known } = this.#stand;
    const chance = chanceOf(seed, this.#place, this.#answers, "answers");
    const kind = chance.weighted({ right: 12, parked: 3, odd: 2, many: 0.2, none: 2 });
    const hostile = hostileValue(chance);
    const [, , { offset: first = 1 }] = chance.pickOr(entries, ["", null, { offset: 1 }] as const);
    if (kind === "none") return;
    const offset = chance.oneIn(2) ? known.offset(chance) : first;
    const parked: DeliveryReply = { parked: [{ offset, attempts: 1, error: "for no reason" }] };
    const right = name === "hub:deliver" ? {} : null;
    const said = kind === "many" ? manyArguments() : jsonText({ right, parked, odd: hostile }[kind]);
    const saying = { name: `answer, ${kind}`, bytes: textFrame(`43/parcels,${ackId}[${said}]`) };
    this.#say(saying).catch(() => undefined); // the run is over
  }
}
