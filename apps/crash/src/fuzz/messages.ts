// The grammar: what each message of the wire looks like when it is right. `mutate.ts` makes it wrong.
import type { ClaimRef, ClientToServerEvents, EmitEntry, Identity, Settle } from "@orrery/contracts";
import { nameOf } from "@orrery/contracts";
import type { Parcels } from "@orrery/contracts/parcels";
import { attackers, bystander, followers, groups } from "./cast.ts";
import type { Chance } from "./chance.ts";
import type { Issuer } from "./issuer.ts";
import type { Known } from "./known.ts";

/** Who says something, and what it may know. */
export interface Speaker {
  readonly identity: Identity;
  /** Undefined: the hub is in open mode. */
  readonly issuer: Issuer | undefined;
  /** Whether the hub has let it in. */
  readonly isLetIn: boolean;
  readonly known: Known;
  /** What it was given to work on last. */
  readonly claims: readonly ClaimRef[];
}

type Wire = ClientToServerEvents<Parcels>;
export type HubMessage = Extract<keyof Wire, `hub:${string}`>;

const kept = ["pickup", "in-transit", "delivered"] as const;
const events = [...kept, "position"] as const;
type Event = (typeof events)[number];

/** Keys of events: so many that groups find free ones, and so few that each has a history. */
const keys = 1_000;

/** One right message of each kind: its first argument, before the ack. */
export const messages: {
  readonly [N in HubMessage]: (chance: Chance, speaker: Speaker) => Parameters<Wire[N]>[0];
} = {
  "hub:emit": (chance, speaker) =>
    Array.from({ length: chance.pick([0, 1, 1, 2, 5, 20]) }, () => entry(chance, speaker)),
  "hub:listen": (chance, { identity, known }) => ({
    events: someEvents(chance, identity),
    ...(chance.oneIn(3) && { rooms: someRooms(chance, identity) }),
    ...(chance.oneIn(2) && { after: chance.oneIn(6) ? ("start" as const) : known.cursor(chance) }),
    ...(chance.oneIn(4) && { fresh: someEvents(chance, identity) }),
  }),
  "hub:follow": (chance, speaker) => ({ as: chance.pick(followers), ...following(chance, speaker) }),
  "hub:unfollow": (chance) => ({ as: chance.pick(followers) }),
  "hub:followers": () => ({}),
  "hub:forget": (chance) => ({ as: chance.pick(followers) }),
  "hub:parked": (chance) => ({ as: chance.pick(followers) }),
  "hub:redrive": (chance, speaker) => {
    const offset = speaker.known.givenUp(chance);
    return chance.oneIn(2) ? { as: chance.pick(followers), offset } : { group: chance.pick(groups), offset };
  },
  "hub:work": (chance, speaker) => ({
    group: chance.pick(groups),
    ...following(chance, speaker),
    events: speaker.identity.role === "driver" ? ["pickup"] : kept.slice(0, 1 + chance.below(kept.length)),
    capacity: chance.pick([0, 1, 2, 5, 10]),
    leaseMs: chance.pick([100, 500, 5_000]),
    attempts: chance.pick([3, 50, 1_000]),
    backoffMs: chance.pick([0, 100, 500]),
    ...(chance.oneIn(2) && { held: Array.from({ length: chance.below(4) }, () => token(chance, speaker)) }),
  }),
  "hub:hold": (chance, speaker) => {
    const { group } = claimOf(chance, speaker);
    return { group, claims: Array.from({ length: chance.below(4) }, () => token(chance, speaker)) };
  },
  "hub:settle": (chance, speaker) => {
    const { group, ...claim } = claimOf(chance, speaker);
    const others = Array.from({ length: chance.pick([0, 0, 0, 1, 3]) }, () => token(chance, speaker));
    return { group, settles: [claim, ...others].map((one) => ({ ...one, ...ending(chance, speaker) })) };
  },
  "hub:groups": () => ({}),
  "hub:dead": (chance) => ({ group: chance.pick(groups) }),
  "hub:drop": (chance, speaker) => ({
    group: chance.pick(groups),
    offset: speaker.known.givenUp(chance),
  }),
  "hub:history": (chance) => ({
    key: keyOf(chance),
    ...(chance.oneIn(3) && { after: chance.pick(["0", "7", "7:3"]) }),
  }),
  "hub:ask": (chance, speaker) => ({
    event: chance.pick(events),
    data: dataOf(chance.pick(events), chance, speaker.identity),
    to: chance.pick([
      { satellite: nameOf(chance.pick([...attackers, bystander.listener])) },
      { role: chance.pick(attackers).role },
      { room: nameOf(chance.pick(attackers)) },
    ]),
    timeoutMs: chance.pick([1, 100, 1_000]),
  }),
  "hub:answer": (chance, { identity }) => ({
    event: chance.pick(events),
    rooms: someRooms(chance, identity),
  }),
  "hub:unanswer": (chance) => ({ event: chance.pick(events) }),
  "hub:reply": (chance, { known }) =>
    chance.oneIn(2) ? { id: known.id(chance), data: {} } : { id: known.id(chance), error: "I cannot." },
  "hub:who": (chance) => ({
    watch: chance.oneIn(2),
    ...(chance.oneIn(3) && { after: nameOf(chance.pick(attackers)) }),
  }),
  "hub:unwatch": () => ({}),
  "hub:renew": (chance) => ({ token: chance.pick(["", "a.b.c", "x".repeat(10_000)]) }),
};

/** How often each is said. */
export const messageWeights: Readonly<Record<HubMessage, number>> = {
  "hub:emit": 30,
  "hub:listen": 8,
  "hub:follow": 6,
  "hub:unfollow": 2,
  "hub:followers": 2,
  "hub:forget": 2,
  "hub:parked": 3,
  "hub:redrive": 4,
  "hub:work": 5,
  "hub:hold": 6,
  "hub:settle": 14,
  "hub:groups": 2,
  "hub:dead": 2,
  "hub:drop": 3,
  "hub:history": 4,
  "hub:ask": 2,
  "hub:answer": 1,
  "hub:unanswer": 1,
  "hub:reply": 1,
  "hub:who": 3,
  "hub:unwatch": 1,
  "hub:renew": 1,
};

/** An event with its data and options, as `hub:emit` takes it and, spread, the plain form. */
export function entry(chance: Chance, speaker: Speaker): EmitEntry {
  const { identity, known } = speaker;
  const event = chance.oneIn(12) ? chance.pick(events) : ownEvent(chance, identity);
  const data = dataOf(event, chance, identity);
  const kind = chance.weighted({ none: 5, id: 5, again: 1, claim: 1 });
  const id = `f-${chance.below(2 ** 32)}`;
  const [again, claim] = [known.id(chance), claimOf(chance, speaker)];
  switch (kind) {
    case "none":
      return [event, data];
    case "id":
      return [event, data, { id }];
    case "again":
      return [event, data, { id: again }];
    case "claim":
      return [event, data, { id, claim }];
  }
}

/** Mostly what the role may say; whoever may say nothing tries. */
function ownEvent(chance: Chance, { role }: Identity): Event {
  const ofDriver = chance.pick(["in-transit", "delivered", "position", "position"] as const);
  return role === "driver" ? ofDriver : "pickup";
}

const keyOf = (chance: Chance): string => `p-${chance.below(keys)}`;

/** Of the satellite itself, or, now and then, in another's name. */
function dataOf(event: Event, chance: Chance, { id }: Identity): unknown {
  const another = chance.pick([...attackers, bystander.vendor]).id;
  const own = chance.oneIn(12) ? another : id;
  if (event === "position") return { driverId: own, latitude: chance.below(180) - 90, longitude: 0 };
  const customer = { name: "n".repeat(1 + chance.below(200)), city: "Recife", state: "PE" };
  const parcelId = keyOf(chance);
  const time = new Date(chance.below(2 ** 31) * 1_000).toISOString();
  switch (event) {
    case "pickup":
      return { parcelId, vendorId: own, customer };
    case "in-transit":
      return { parcelId, vendorId: another, customer, driverId: own, collectedAt: time };
    case "delivered":
      return { parcelId, vendorId: another, customer, driverId: own, deliveredAt: time };
  }
}

function following(chance: Chance, { identity, known }: Speaker) {
  const cursor = known.cursor(chance);
  const time = new Date(chance.below(2 ** 31) * 1_000).toISOString();
  const from = chance.pick(["now", "start", cursor, { time }] as const);
  return {
    events: someEvents(chance, identity),
    ...(chance.oneIn(4) && { rooms: someRooms(chance, identity) }),
    ...(chance.oneIn(2) && { from }),
  };
}

/** Mostly what the role may hear. */
function someEvents(chance: Chance, { role }: Identity): string[] {
  const first = chance.pick(events);
  if (chance.oneIn(20)) return [first, chance.pick(events), "nothing"];
  return role === "driver" ? ["pickup"] : [...new Set([first, chance.pick(events)])];
}

const someRooms = (chance: Chance, identity: Identity): string[] =>
  Array.from({ length: chance.pick([0, 1, 1, 2]) }, () =>
    nameOf(chance.pick([identity, identity, chance.pick(attackers), bystander.vendor])),
  );

/** Mostly its own; one of another satellite, or one that is over since long. */
function claimOf(chance: Chance, { claims, known }: Speaker): ClaimRef {
  const [any, own] = [known.claim(chance), chance.pickOr(claims, undefined)];
  return chance.oneIn(3) ? any : (own ?? any);
}

function token(chance: Chance, speaker: Speaker) {
  const { offset, token } = claimOf(chance, speaker);
  return { offset, token };
}

/** Mostly done, so that groups get on. */
export function ending(chance: Chance, speaker: Speaker): Omit<Settle, "offset" | "token"> {
  const outcome = chance.weighted({ done: 12, retry: 3, dead: 1, back: 2 });
  const said = Array.from({ length: chance.pick([0, 0, 1, 2]) }, () => entry(chance, speaker));
  return outcome === "done" && said.length > 0
    ? { outcome, events: said }
    : { outcome, error: "for no reason" };
}
