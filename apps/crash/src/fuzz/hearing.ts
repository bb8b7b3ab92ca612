import type { ClaimRef, ErrorBody, HeardEntry, Identity } from "@orrery/contracts";
import { parcels } from "@orrery/contracts/parcels";
import { FrameReader, frameBytes, opcodes, textFrame } from "./frames.ts";
import type { Known } from "./known.ts";
import { codesOf, entriesIn, insideOf, isErrorBody, mayHear } from "./reply.ts";
import type { Saying } from "./saying.ts";
import type { Standing } from "./standing.ts";
import type { Tally } from "./tally.ts";
import type { Wire } from "./wire.ts";

export interface HearingOptions {
  readonly wire: Wire;
  readonly tally: Tally;
  readonly known: Known;
  /** Learns what is said of who it is. */
  readonly standing: Standing;
  /** Of the visit, for people. */
  readonly place: number;
  /** Whether others may abuse its Engine.IO connection. */
  readonly isShared: boolean;
  /** Hears of a claim that it was given. */
  readonly work: (claim: ClaimRef) => void;
  /** Answers a message of the hub that asks for an ack. */
  readonly answer: (name: string, ackId: string, entries: readonly HeardEntry[]) => void;
}

/** Engine.IO's message and Socket.IO's packet: type, namespace, ack id, data. */
const packetForm = /^4(\d)(?:(\/[^,]*),)?(\d*)([\s\S]*)$/;

/** Claims that an attacker still knows of as its own. */
const mostClaims = 8;

/** What was said, and waits for its answer. */
interface Asked {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly saidMs: number;
  /** Why the hub must refuse it; undefined: it need not. */
  readonly fault: string | undefined;
}

/** Of what replies tell, what is learned. */
interface Told {
  readonly cursor?: unknown;
  readonly dead?: readonly { readonly offset: number }[];
  readonly parked?: readonly { readonly offset: number }[];
}

/** Engine.IO's close, its answer to a probe, and its noop. */
const harmless = /^(1|3probe|6)$/;

/** What an attacker hears on a WebSocket: all of it is held against what the hub may say, and learned from. */
export class Hearing {
  readonly #options: HearingOptions;
  readonly #frames = new FrameReader((opcode, payload) => this.#hearFrame(opcode, payload));
  readonly #looking = new Set<() => void>();
  /** Right messages that wait for their answers, by ack id. */
  readonly #awaited = new Map<number, Asked[]>();
  #head: Buffer | undefined = Buffer.alloc(0);
  #identity: Identity | undefined;
  #ending: string | undefined;
  /** What it was given to work on last. */
  readonly claims: ClaimRef[] = [];
  /** Engine.IO has opened. */
  isOpen = false;
  /** The handshake was taken, and nothing has ended what it began. */
  isConnected = false;
  isRefused = false;
  /** The hub has said that it ends the connection. */
  isTold = false;

  constructor(options: HearingOptions) {
    this.#options = options;
    options.wire.onBytes = (bytes) => this.#push(bytes);
    void options.wire.ended.then(() => this.#changed());
  }

  /** Nothing more can be said, or heard. */
  get isOver(): boolean {
    return this.#options.wire.isOver || this.#ending?.startsWith("closed") === true;
  }

  /** Why the connection ended, as far as the hub has told. */
  get ending(): string | undefined {
    return this.#ending;
  }

  /** Messages that wait for their answers. */
  get unanswered(): readonly string[] {
    return [...this.#awaited.values()].flat().map(({ name }) => name);
  }

  /** To be told of all that is said, and when. Milliseconds since 1970. */
  expect({ name, awaits = [], introduces }: Saying, saidMs: number): void {
    const fault = introduces && this.#options.standing.show(introduces, saidMs);
    if (introduces !== undefined && fault === undefined) this.#identity ??= introduces.identity;
    if (!this.isConnected) return;
    for (const ackId of awaits) {
      this.#awaited.set(ackId, [...(this.#awaited.get(ackId) ?? []), { name, saidMs, fault }]);
    }
  }

  /** Resolves with true when it is so, or with false when it still is not, or cannot be any more. */
  async until(isSo: () => boolean, mostMs: number): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let look = () => {};
    await new Promise<void>((resolve) => {
      look = () => {
        if (isSo() || this.isOver) resolve();
      };
      this.#looking.add(look);
      timer = setTimeout(resolve, mostMs);
      look();
    });
    clearTimeout(timer);
    this.#looking.delete(look);
    return isSo();
  }

  #changed(): void {
    for (const look of this.#looking) look();
  }

  #push(bytes: Buffer): void {
    if (this.#head === undefined) this.#frames.push(bytes);
    else this.#readHead(Buffer.concat([this.#head, bytes]));
    this.#changed();
  }

  /** The HTTP answer to the upgrade. */
  #readHead(bytes: Buffer): void {
    this.#head = bytes;
    const end = bytes.indexOf("\r\n\r\n");
    if (end === -1) return;
    const [status = ""] = /^HTTP\/1\.1 \d+/.exec(bytes.toString("latin1", 0, end)) ?? [];
    if (!status.endsWith(" 101")) {
      this.#checkInside(bytes.toString("latin1"));
      this.#end(status);
      return;
    }
    this.#head = undefined;
    this.#frames.push(bytes.subarray(end + 4));
  }

  #hearFrame(opcode: number, payload: Buffer): void {
    if (opcode === opcodes.text) return this.#hear(payload.toString());
    if (opcode !== opcodes.close) return;
    this.#checkInside(payload.toString("latin1", 2));
    const code = payload.length >= 2 ? payload.readUInt16BE(0) : "without a code";
    this.#end(`closed ${code}`);
    this.#options.wire.write(frameBytes({ opcode: opcodes.close, payload: Buffer.alloc(0) }));
  }

  #hear(text: string): void {
    this.#checkInside(text);
    if (text === "2") return this.#options.wire.write(textFrame("3"));
    if (text.startsWith("0")) return this.#opened(text);
    const [, type, namespace = "/", ackId = "", json = ""] = packetForm.exec(text) ?? [];
    const data = parsed(json);
    if (type === "0") this.#connected(namespace);
    else if (type === "1") this.#disconnected();
    else if (type === "2" && Array.isArray(data)) this.#heardEvent(ackId, data);
    else if (type === "3" && Array.isArray(data)) this.#heardReply(Number(ackId), data);
    else if (type === "4") this.#heardRefusal(data);
    else if (!harmless.test(text)) {
      this.#options.tally.fault("a message of the hub that is no packet", text.slice(0, 200));
    }
  }

  #opened(text: string): void {
    this.isOpen = true;
    if (this.#options.isShared) this.#options.known.learnSid(JSON.parse(text.slice(1)).sid);
  }

  #connected(namespace: string): void {
    if (namespace !== `/${parcels.name}`) return;
    this.isConnected = true;
    const { standing, tally, place } = this.#options;
    if (!standing.mayEnter) {
      tally.fault("a handshake or a renewal taken that must be refused", { place, shown: standing.faults });
    }
  }

  #disconnected(): void {
    this.isConnected = false;
    this.#awaited.clear();
    this.#end("the namespace's disconnect");
  }

  #heardRefusal(refusal: unknown): void {
    this.isRefused = true;
    const { data } = (refusal ?? {}) as { readonly data?: unknown };
    if (isErrorBody(data)) this.#options.tally.count("refused", data.code);
    else this.#options.tally.fault("a reply that is neither ok nor a code of the table", { refusal: data });
  }

  #heardEvent(ackId: string, args: readonly unknown[]): void {
    const [name, ...rest] = args;
    const { known, answer } = this.#options;
    const entries = this.#learnEntries(String(name), args);
    if (name === "hub:welcome") {
      const { satellite, cursor } = rest[0] as { satellite: Identity; cursor: string };
      this.#welcomed(satellite);
      known.learnCursor(cursor);
    } else if (name === "hub:claims") {
      const { group, claims } = rest[0] as { group: string; claims: { offset: number; token: number }[] };
      for (const { offset, token } of claims) this.#given({ group, offset, token });
    } else if (name === "hub:close") {
      this.#toldToEnd(rest[0] as ErrorBody);
    } else if (name === "hub:unfollowed" || name === "hub:unworked") {
      const { error } = rest[0] as { error: unknown };
      if (!isErrorBody(error)) {
        this.#options.tally.fault("a reply that is neither ok nor a code of the table", args);
      }
    }
    if (ackId !== "") answer(String(name), ackId, entries);
  }

  #welcomed(satellite: Identity): void {
    this.#identity = satellite;
    const { standing, tally, place } = this.#options;
    if (!standing.mayBe(satellite)) tally.fault("let in as another than it has shown", { place, satellite });
  }

  #given(claim: ClaimRef): void {
    this.#options.known.learnClaim(claim);
    this.claims.push(claim);
    if (this.claims.length > mostClaims) this.claims.shift();
    this.#options.work(claim);
  }

  #toldToEnd(error: ErrorBody): void {
    this.isTold = true;
    this.#awaited.clear();
    if (isErrorBody(error)) this.#end(`hub:close ${error.code}`);
    else this.#options.tally.fault("a reply that is neither ok nor a code of the table", { close: error });
  }

  #heardReply(ackId: number, args: readonly unknown[]): void {
    const { tally, known } = this.#options;
    const [asked, ...others] = this.#awaited.get(ackId) ?? [];
    const { name = "nothing" } = asked ?? {};
    if (others.length === 0) this.#awaited.delete(ackId);
    else this.#awaited.set(ackId, others);
    const [reply] = args;
    const codes = codesOf(reply);
    if (codes === undefined)
      tally.fault("a reply that is neither ok nor a code of the table", { name, reply });
    for (const code of codes ?? []) tally.count("answered", code);
    if (asked !== undefined && codes?.[0] === "ok") this.#servedWith(asked);
    this.#learnEntries(name, args);
    const { cursor, dead = [], parked = [] } = (reply ?? {}) as Told;
    known.learnCursor(cursor);
    for (const { offset } of [...dead, ...parked]) known.learnGivenUp(offset);
  }

  /** The answer was ok: whether it may be. */
  #servedWith({ name, saidMs, fault }: Asked): void {
    const { standing, tally, place } = this.#options;
    const { overMs } = standing;
    if (fault !== undefined)
      tally.fault("a handshake or a renewal taken that must be refused", { place, name, shown: fault });
    if (saidMs >= overMs) {
      tally.fault("served when its token was over, or revoked", { place, name, lateMs: saidMs - overMs });
    }
  }

  #learnEntries(name: string, args: readonly unknown[]): readonly HeardEntry[] {
    const { tally, known } = this.#options;
    const identity = this.#identity;
    const entries = [...entriesIn([args])];
    for (const entry of entries) {
      known.learnEntry(entry);
      if (identity !== undefined && !mayHear(parcels, identity, entry)) {
        tally.fault("an event told to whom it is not for", { identity, by: name, entry });
      }
    }
    return entries;
  }

  #checkInside(text: string): void {
    const leak = insideOf(text);
    if (leak !== undefined) this.#options.tally.fault("text of the hub's inside, told outside", { leak });
  }

  /** The first reason counts; how the WebSocket was closed comes with every other one. */
  #end(reason: string): void {
    if (reason.startsWith("closed")) this.#awaited.clear();
    const isMore = this.#ending === undefined || this.#ending.startsWith("closed");
    if (isMore) this.#ending = reason;
    else if (reason.startsWith("closed")) this.#ending = `closed, ${this.#ending}`;
  }
}

/** Undefined where it is no JSON. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
