import { createHash, generateKeyPairSync } from "node:crypto";
import { parcels } from "@orrery/contracts/parcels";
import { defaultLimits } from "@orrery/hub-core";
import { attackers, bystander } from "../../src/fuzz/cast.ts";
import { Chance } from "../../src/fuzz/chance.ts";
import { handshakeOf } from "../../src/fuzz/handshake.ts";
import { sayHandshake } from "../../src/fuzz/identity-attack.ts";
import { Issuer } from "../../src/fuzz/issuer.ts";
import { jsonText, RawJson } from "../../src/fuzz/json-text.ts";
import { Known } from "../../src/fuzz/known.ts";
import { sayMessage } from "../../src/fuzz/message-attack.ts";
import { entry, type HubMessage, messages } from "../../src/fuzz/messages.ts";
import { mutated } from "../../src/fuzz/mutate.ts";
import { sayingOf } from "../../src/fuzz/saying-of.ts";
import { chanceOf, sessionOf } from "../../src/fuzz/session.ts";

const { privateKey } = generateKeyPairSync("ed25519");
const issuer = new Issuer(privateKey.export({ format: "jwk" }), () => 1_800_000_000_000);
const speaker = (place: number) => ({
  identity: attackers[place % attackers.length] as (typeof attackers)[number],
  issuer,
  isLetIn: place % 2 === 0,
  known: new Known(),
  claims: [],
});
const places = Array.from({ length: 500 }, (_, place) => place);

/** What the first visits of a seed would say to a hub that tells them nothing. */
function saidBy(seed: number): string {
  const hash = createHash("sha256");
  for (const place of places.slice(0, 100)) {
    const session = sessionOf(seed, place, "tokens");
    hash.update(sayHandshake(session, chanceOf(seed, place, 0, "enters"), issuer).bytes);
    for (let step = 0; step < session.steps; step += 1) {
      hash.update(sayingOf(session, step, chanceOf(seed, place, step, "says"), speaker(place)).bytes);
    }
  }
  return hash.digest("hex");
}

describe("the grammar", () => {
  it("says the same for the same seed, and something else for another", () => {
    expect(saidBy(7)).toBe(saidBy(7));
    expect(saidBy(7)).not.toBe(saidBy(8));
    const sessions = () => places.map((place) => sessionOf(7, place, "tokens"));
    expect(sessions()).toEqual(sessions());
  });

  it("comes to every kind of visit, handshake and end", () => {
    const sessions = places.map((place) => sessionOf(1, place, "tokens"));
    expect(new Set(sessions.map(({ kind }) => kind)).size).toBe(6);
    expect(new Set(sessions.map(({ handshake }) => handshake)).size).toBe(3);
    expect(new Set(sessions.map(({ ends }) => ends)).size).toBe(5);
    expect(new Set(sessions.map(({ reads }) => reads)).size).toBe(3);
  });

  it("leaves tokens alone in open mode, and never speaks in the bystander's name there", () => {
    for (const place of places) {
      const session = sessionOf(2, place, "open");
      expect(session.kind).not.toBe("tokens");
      const { bytes } = sayHandshake(session, chanceOf(2, place, 0, "enters"), undefined);
      expect(bytes.toString("latin1")).not.toContain(bystander.vendor.id);
    }
  });

  it("makes events that the contract takes", () => {
    const results = places.map((place) => {
      const [event, data] = entry(new Chance(place), speaker(place));
      return parcels.events[event as keyof typeof parcels.events].data.safeParse(data).success;
    });
    expect(results.filter((isTaken) => !isTaken)).toEqual([]);
  });

  it("makes JSON of every message, right or wrong, that the hub can read", () => {
    for (const name of Object.keys(messages) as HubMessage[]) {
      for (const place of places.slice(0, 60)) {
        const chance = new Chance(place);
        const right = messages[name](chance, speaker(place));
        expect(JSON.parse(jsonText(right))).toEqual(right);
        expect(() => JSON.parse(jsonText(mutated(right, chance)))).not.toThrow();
      }
    }
  });

  it("expects an answer only to what can be answered", () => {
    const said = places.map((place) => sayMessage(new Chance(place), speaker(place), "batched", place));
    const awaited = said.filter(({ awaits }) => awaits !== undefined);
    expect(awaited.length).toBeGreaterThan(300);
    for (const { bytes, awaits } of awaited) {
      const text = bytes.toString("latin1");
      const [, ackId] = /42\/parcels,(\d+)\["(?!connect"|disconnect"|newListener")/.exec(text) ?? [];
      expect(awaits).toEqual([Number(ackId)]);
    }
  });

  it("introduces a satellite as the protocol says", () => {
    const driver = { role: "driver", id: "d1" };
    expect(handshakeOf(driver, "plain", undefined).auth).toEqual(driver);
    expect(handshakeOf(driver, "batched", undefined).auth).toEqual({ ...driver, protocol: 1 });
    const { token } = issuer.issue(driver);
    expect(handshakeOf(driver, "plain", issuer).auth).toEqual({ token });
    expect(handshakeOf(driver, "batched", issuer).auth).toEqual({ token, protocol: 1 });
  });
});

describe("a mutation", () => {
  const right = { group: "g", claims: [{ offset: 3, token: 1 }], more: { text: "x" } };

  it("leaves the original as it is, and makes something else of it", () => {
    const before = structuredClone(right);
    const wrong = places.map((place) => jsonText(mutated(right, new Chance(place))));
    expect(right).toEqual(before);
    expect(wrong.filter((text) => text === JSON.stringify(right)).length).toBeLessThan(places.length / 10);
    expect(new Set(wrong).size).toBeGreaterThan(100);
  });

  it("leaves things out, adds names with a meaning of their own, and makes lists long", () => {
    const wrong = places.map((place) => jsonText(mutated(right, new Chance(place))));
    const has = (is: (text: string) => boolean) => wrong.some(is);
    expect(has((text) => !text.includes("token"))).toBe(true);
    expect(has((text) => text.includes('"__proto__":'))).toBe(true);
    expect(has((text) => text.length > 10_000)).toBe(true);
    expect(wrong.every((text) => text.length < defaultLimits.messageBytes)).toBe(true);
  });

  it("says JSON that no value has", () => {
    expect(jsonText({ a: [new RawJson("1e999")], b: undefined })).toBe('{"a":[1e999]}');
    expect(jsonText(Object.fromEntries([["__proto__", 1]]))).toBe('{"__proto__":1}');
  });
});
