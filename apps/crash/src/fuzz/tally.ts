import { type Finding, mostExamples } from "../finding.ts";
import type { Saying } from "./saying.ts";

/** Promises that an attacker sees broken. */
export const attackFaults = [
  "a reply that is neither ok nor a code of the table",
  "a message of the hub that is no packet",
  "a right message without an answer",
  "text of the hub's inside, told outside",
  "an event told to whom it is not for",
  "hub:close, and the connection went on",
  "a handshake or a renewal taken that must be refused",
  "let in as another than it has shown",
  "served when its token was over, or revoked",
] as const;
export type AttackFault = (typeof attackFaults)[number];

/** What is counted, each by its names. */
export type Counted = "said" | "answered" | "refused" | "ended" | "revoked";

/** All that attackers leave. */
export interface AttackEvidence {
  readonly sessions: number;
  /** By what was said, by the codes of replies and of refused handshakes, by how connections ended, and by whose tokens were revoked. */
  readonly counts: Readonly<Record<Counted, Readonly<Record<string, number>>>>;
  readonly findings: readonly Finding[];
}

/** What was said, for people who look for why the hub has ended. */
export interface SaidLast {
  readonly atMs: number;
  /** The session's place. */
  readonly session: number;
  readonly name: string;
  readonly bytes: number;
  /** Its beginning, a character a byte. */
  readonly text: string;
}

/** What is said in the time in which a hub ends, and more. */
const mostLast = 1_000;
/** Bytes. */
const lastLength = 400;

/** Keeps count. */
export class Tally {
  #sessions = 0;
  readonly #counts: Record<Counted, Map<string, number>> = {
    said: new Map(),
    answered: new Map(),
    refused: new Map(),
    ended: new Map(),
    revoked: new Map(),
  };
  readonly #faults = new Map<AttackFault, { count: number; examples: string[] }>(
    attackFaults.map((fault) => [fault, { count: 0, examples: [] }]),
  );
  readonly saidLast: SaidLast[] = [];

  session(): void {
    this.#sessions += 1;
  }

  said(session: number, { name, bytes }: Saying): void {
    this.count("said", name);
    const text = bytes.subarray(0, lastLength).toString("latin1");
    this.saidLast.push({ atMs: Date.now(), session, name, bytes: bytes.length, text });
    if (this.saidLast.length > mostLast) this.saidLast.shift();
  }

  count(what: Counted, name: string): void {
    const counts = this.#counts[what];
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }

  fault(fault: AttackFault, example: unknown): void {
    const found = this.#faults.get(fault);
    if (found === undefined) return;
    found.count += 1;
    if (found.examples.length < mostExamples) found.examples.push(JSON.stringify(example));
  }

  get evidence(): AttackEvidence {
    const { said, answered, refused, ended, revoked } = this.#counts;
    const sorted = (counts: ReadonlyMap<string, number>) =>
      Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
    return {
      sessions: this.#sessions,
      counts: {
        said: sorted(said),
        answered: sorted(answered),
        refused: sorted(refused),
        ended: sorted(ended),
        revoked: sorted(revoked),
      },
      findings: [...this.#faults].map(([fault, { count, examples }]) => ({ fault, count, examples })),
    };
  }
}
