import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Claim, type Delivery, defineContract, type ErrorBody } from "@orrery/contracts";
import { keyFrom, signToken } from "@orrery/tokens";
import { z } from "zod";
import type { HubOptions } from "../src/index.ts";
import { startHub, type TestHub } from "../src/testing.ts";
import { PlainClient } from "./clients.ts";

const Note = z.strictObject({ id: z.string(), guest: z.string().optional() });
const everybody = { host: "all", guest: "all" } as const;

/** A house that asks who is there. */
export const manor = defineContract({
  name: "manor",
  version: "1.0.0",
  roles: ["host", "guest"],
  events: {
    said: { summary: "Kept.", data: Note, keep: "log", key: "id", emit: everybody, hear: everybody },
    whispered: {
      summary: "Kept, for one guest.",
      data: Note,
      keep: "log",
      key: "id",
      rooms: { guest: "guest" },
      emit: { host: "all", guest: "own" },
      hear: { host: "all", guest: "own" },
    },
    mood: {
      summary: "Only the newest of each is kept.",
      data: Note,
      keep: "latest",
      key: "id",
      emit: everybody,
      hear: everybody,
    },
    riddle: {
      summary: "A question.",
      data: Note,
      reply: Note,
      keep: "none",
      emit: everybody,
      hear: everybody,
    },
  },
});

const secret = Buffer.alloc(32, 7);
export const key = keyFrom({ kty: "oct", k: secret.toString("base64url") });

type Options = Partial<Omit<HubOptions, "log" | "server" | "contracts">>;
export const startManor = (options: Options = {}): Promise<TestHub> =>
  startHub({ contracts: [manor], keys: key, ...options });

export const tokenOf = (
  satellite: string,
  { lifetimeMs = 60_000, issuedMs = Date.now(), contract = "manor", by = key } = {},
): Promise<string> => signToken(by, { satellite, contract, lifetimeMs }, issuedMs);

/** The grace with which a `briefTokenOf` lasts from half a second to one and a half. */
export const briefGrace = { tokenGraceMs: 1_500 };
/** One that has run out just now, which is within what clocks may differ by: what is left to it is the grace. */
export const briefTokenOf = (satellite: string): Promise<string> =>
  tokenOf(satellite, { issuedMs: Date.now() - 60_000, lifetimeMs: 60_000 });

/** A token that says whatever it is given, signed with HS256. */
export function craft(claims: object, header: object = { alg: "HS256" }, signedBy: Buffer = secret): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", signedBy).update(signed).digest("base64url")}`;
}
export const nowSeconds = (): number => Math.floor(Date.now() / 1_000);
export const claimsOf = (sub: string) => ({
  sub,
  aud: "manor",
  iat: nowSeconds(),
  exp: nowSeconds() + 60,
});

/** A satellite by hand, in the batched form, that remembers what it was given. */
export class Visitor extends PlainClient {
  readonly claims: Claim[] = [];
  readonly delivered: Delivery[] = [];
  /** What to answer to a delivery; undefined: nothing. */
  answer: object | undefined = {};
  /** Why the hub has closed the connection, and how that looks to Socket.IO. */
  readonly closed: Promise<{ readonly code: string; readonly reason: string }>;

  constructor(hub: { readonly url: string }, auth: object, options: object = {}) {
    super(`${hub.url}/manor`, { protocol: 1, ...auth }, { reconnection: false, ...options });
    this.socket.on("hub:claims", ({ claims }: { claims: Claim[] }) => void this.claims.push(...claims));
    this.socket.on("hub:deliver", (delivery: Delivery, ack: (reply: object) => void) => {
      this.delivered.push(delivery);
      if (this.answer !== undefined) ack(this.answer);
    });
    let code = "none";
    this.socket.on("hub:close", (error: ErrorBody) => {
      code = error.code;
    });
    this.closed = new Promise((resolve) =>
      this.socket.on("disconnect", (reason) => resolve({ code, reason })),
    );
  }

  ask<Reply = { ok: boolean; error?: ErrorBody }>(message: string, request: object = {}): Promise<Reply> {
    return this.socket.emitWithAck(message, request);
  }

  /** Asks, as often as it may, until the hub does nothing for it any more; the code. */
  async over(): Promise<string> {
    for (;;) {
      const { error } = await this.ask("hub:followers");
      if (error?.retryAfterMs !== undefined) await sleep(error.retryAfterMs);
      else if (error !== undefined) return error.code;
    }
  }
}

export const visit = async (
  hub: { readonly url: string },
  satellite: string,
  token: Promise<string> | string = tokenOf(satellite),
): Promise<Visitor> => {
  const visitor = new Visitor(hub, { token: await token });
  await visitor.connected();
  return visitor;
};

/** The refusal's code. */
export async function refusalOf(
  hub: { readonly url: string },
  auth: object,
  options?: object,
): Promise<string> {
  await using visitor = new Visitor(hub, auth, options);
  return (await visitor.refused()).code;
}

/** Says one event for each id. */
export async function say(visitor: PlainClient, event: string, ids: readonly string[]): Promise<void> {
  for (let start = 0; start < ids.length; start += 250) {
    const entries = ids.slice(start, start + 250).map((id) => [event, { id }]);
    const { receipts } = await visitor.socket.emitWithAck("hub:emit", entries);
    expect(receipts).toEqual(entries.map(() => expect.objectContaining({ ok: true })));
  }
}
