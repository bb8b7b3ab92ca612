import { Heap } from "./heap.ts";

/** A connection that works in a group. */
export interface Member {
  /** Whatever names the connection. */
  readonly id: string;
  /** `driver:d1`. */
  readonly satellite: string;
  readonly capacity: number;
  readonly leaseMs: number;
  /** Offsets of what it holds, or is about to hold. */
  readonly claims: ReadonlySet<number>;
  /** Of these, those whose end is on its way to disk: they take no room. */
  readonly ending: ReadonlySet<number>;
}

interface Place extends Member {
  capacity: number;
  leaseMs: number;
  readonly claims: Set<number>;
  readonly ending: Set<number>;
  /** Until it says something. */
  isPaused: boolean;
  isPassedOver: boolean;
  /** The turn in which it was last given something. */
  turn: number;
  readonly joined: number;
}

/** Who is there, and whose turn it is: of those with room the one that is least full, of equals the one that waits longest. */
export class Members {
  readonly #all = new Map<string, Place>();
  readonly #withRoom = new Heap<Place>(byTurn);
  #room = 0;
  #turn = 0;
  #joined = 0;

  /** How many claims all of them have room for. */
  get room(): number {
    return this.#room;
  }

  get(id: string): Member | undefined {
    return this.#all.get(id);
  }

  [Symbol.iterator](): Iterator<Member> {
    return this.#all.values();
  }

  /** Said again, it changes the capacity and the lease. */
  join(id: string, satellite: string, capacity: number, leaseMs: number): Member {
    const known = this.#all.get(id);
    this.#joined += 1;
    const place = known ?? {
      id,
      satellite,
      capacity: 0,
      leaseMs,
      claims: new Set(),
      ending: new Set(),
      isPaused: false,
      isPassedOver: false,
      turn: 0,
      joined: this.#joined,
    };
    this.#all.set(id, place);
    this.#change(place, () => {
      place.capacity = capacity;
      place.leaseMs = leaseMs;
      place.isPaused = false;
    });
    return place;
  }

  /** It is given nothing until `resume`, or `join`. */
  pause(id: string): void {
    this.#setPaused(id, true);
  }

  resume(id: string): void {
    this.#setPaused(id, false);
  }

  /** It is given nothing for now, whatever it says, or again. */
  passOver(id: string, isPassedOver: boolean): void {
    const place = this.#all.get(id);
    if (place === undefined) return;
    this.#change(place, () => {
      place.isPassedOver = isPassedOver;
    });
  }

  leave(id: string): void {
    const place = this.#all.get(id);
    if (place === undefined) return;
    this.#change(place, () => {
      place.capacity = 0;
    });
    this.#all.delete(id);
  }

  /** The one whose turn it is; `not`: names of satellites that are passed over. */
  next(not: readonly string[] = []): Member | undefined {
    const { first } = this.#withRoom;
    if (first === undefined || !not.includes(first.satellite)) return first;
    let found: Place | undefined;
    for (const place of this.#withRoom) {
      const isAsked = !not.includes(place.satellite);
      if (isAsked && (found === undefined || byTurn(place, found) < 0)) found = place;
    }
    return found;
  }

  /** It was its turn. */
  give({ id }: Member, offset: number): void {
    const place = this.#all.get(id) as Place;
    this.#turn += 1;
    this.#change(place, () => {
      place.claims.add(offset);
      place.turn = this.#turn;
    });
  }

  /** It holds that, without its having been its turn, and it does not end just now. May be more than it has room for. */
  keep({ id }: Member, offset: number): void {
    const place = this.#all.get(id) as Place;
    this.#change(place, () => {
      place.claims.add(offset);
      place.ending.delete(offset);
    });
  }

  /** The end of what it holds is on its way to disk. */
  end({ id }: Member, offset: number): void {
    const place = this.#all.get(id) as Place;
    this.#change(place, () => place.ending.add(offset));
  }

  /** It does not hold that any more. */
  take({ id }: Member, offset: number): void {
    const place = this.#all.get(id);
    if (place === undefined) return;
    this.#change(place, () => {
      place.claims.delete(offset);
      place.ending.delete(offset);
    });
  }

  #setPaused(id: string, isPaused: boolean): void {
    const place = this.#all.get(id);
    if (place === undefined || place.isPaused === isPaused) return;
    this.#change(place, () => {
      place.isPaused = isPaused;
    });
  }

  #change(place: Place, change: () => void): void {
    this.#room -= roomOf(place);
    change();
    this.#room += roomOf(place);
    if (roomOf(place) > 0) this.#withRoom.put(place);
    else this.#withRoom.remove(place);
  }
}

const byTurn = (a: Place, b: Place): number =>
  takenOf(a) * b.capacity - takenOf(b) * a.capacity || a.turn - b.turn || a.joined - b.joined;

const takenOf = ({ claims, ending }: Member): number => claims.size - ending.size;

const roomOf = (place: Place): number =>
  place.isPaused || place.isPassedOver ? 0 : Math.max(0, place.capacity - takenOf(place));
