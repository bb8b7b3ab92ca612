import { type AskReply, type ErrorBody, errorBody } from "@orrery/contracts";

type Answered = Extract<AskReply, { readonly ok: true }>;

/**
 * One question that was asked, of one satellite or of many: who has answered, who is silent and why, and whom it waits for.
 * It is over when it waits for nobody; what comes after that changes nothing. No clock, no sockets: `Place` is whatever
 * stands for an asked connection.
 */
export class OpenQuestion<Place> {
  readonly #answers: Answered["answers"][number][] = [];
  readonly #silent: Answered["silent"][number][] = [];
  /** Names of the satellites. */
  readonly #waiting: Map<Place, string>;
  readonly #roomBytes: (takenBytes: number) => number;
  #bytes = 0;

  /** `roomBytes`: where it has taken so many, so many more; an answer that comes when there is no room for it is `ANSWERS_TOO_LARGE`. */
  constructor(
    asked: Iterable<readonly [place: Place, name: string]>,
    roomBytes: (takenBytes: number) => number,
  ) {
    this.#waiting = new Map(asked);
    this.#roomBytes = roomBytes;
  }

  /** What answers have said so far. */
  get bytes(): number {
    return this.#bytes;
  }

  get isOver(): boolean {
    return this.#waiting.size === 0;
  }

  /** How many have answered, or will not. */
  get over(): number {
    return this.#answers.length + this.#silent.length;
  }

  /** Whom it waits for. */
  get waiting(): readonly Place[] {
    return [...this.#waiting.keys()];
  }

  get result(): Answered {
    return { ok: true, answers: this.#answers, silent: this.#silent };
  }

  /** `data` has passed the reply's schema, `bytes` are those of its text. */
  answer(place: Place, data: unknown, bytes: number): void {
    if (!this.#hasRoom(bytes)) return this.silence(place, errorBody("ANSWERS_TOO_LARGE"));
    const from = this.#take(place);
    if (from === undefined) return;
    this.#bytes += bytes;
    this.#answers.push({ from, data });
  }

  /** `bytes`: where the asked one has said something of the error, those of its text. */
  silence(place: Place, error: ErrorBody, bytes = 0): void {
    if (!this.#hasRoom(bytes)) return this.silence(place, errorBody("ANSWERS_TOO_LARGE"));
    const from = this.#take(place);
    if (from === undefined) return;
    this.#bytes += bytes;
    this.#silent.push({ from, error });
  }

  #hasRoom(bytes: number): boolean {
    return bytes === 0 || bytes <= this.#roomBytes(this.#bytes);
  }

  #take(place: Place): string | undefined {
    const name = this.#waiting.get(place);
    this.#waiting.delete(place);
    return name;
  }
}
