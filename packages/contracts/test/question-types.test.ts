// What the compiler holds, and refuses, of questions. `tsc` checks this file before the tests run: an `@ts-expect-error`
// above a line that compiles is itself an error.
import { z } from "zod";
import {
  type ClientToServerEvents,
  type Contract,
  type DataIn,
  type DataOut,
  defineContract,
  type EventName,
  eventNames,
  type QuestionName,
  type ReplyIn,
  type ReplyOut,
  type ServerToClientEvents,
} from "../src/index.ts";
import type { Parcels } from "../src/parcels.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_Claim extends true>() => undefined;

const kitchen = defineContract({
  name: "kitchen",
  version: "1.0.0",
  roles: ["till", "cook"],
  events: {
    ordered: {
      summary: "A guest ordered.",
      data: z.object({ table: z.string() }),
      keep: "log",
      emit: { till: "all" },
      hear: { cook: "all" },
    },
    waved: { summary: "Not kept.", data: z.object({}), keep: "none", emit: { till: "all" }, hear: {} },
    ready: {
      summary: "When will it be there?",
      data: z.object({ table: z.string(), unit: z.enum(["min", "s"]).default("min") }),
      keep: "none",
      reply: z.object({ in: z.number(), note: z.string().default("") }),
      emit: { till: "all" },
      hear: { cook: "all" },
    },
  },
});
type Kitchen = typeof kitchen;

/** Compiled, never run: each function is a claim about types. */
const claims = {
  "an event with a reply is a question, and no event to emit or hear": () => {
    holds<Equal<QuestionName<Kitchen>, "ready">>();
    holds<Equal<EventName<Kitchen>, "ordered" | "waved">>();
    holds<Equal<QuestionName<Parcels>, never>>();
    holds<Equal<EventName<Contract>, string>>();
    holds<Equal<QuestionName<Contract>, string>>();
    type Plain = Exclude<keyof ClientToServerEvents<Kitchen>, `hub:${string}`>;
    holds<Equal<Plain, "ordered" | "waved">>();
    type Heard = Exclude<keyof ServerToClientEvents<Kitchen>, `hub:${string}`>;
    holds<Equal<Heard, "ordered" | "waved">>();
  },
  "its data and its reply are inferred, with defaults for who says it, and filled in for who gets it": () => {
    holds<Equal<DataIn<Kitchen, "ready">, { table: string; unit?: "min" | "s" | undefined }>>();
    holds<Equal<DataOut<Kitchen, "ready">, { table: string; unit: "min" | "s" }>>();
    holds<Equal<ReplyIn<Kitchen, "ready">, { in: number; note?: string | undefined }>>();
    holds<Equal<ReplyOut<Kitchen, "ready">, { in: number; note: string }>>();
    // @ts-expect-error: no question
    holds<Equal<ReplyOut<Kitchen, "ordered">, never>>();
  },
  "a question is not kept, and its reply is an object": () => {
    const make = { name: "test", version: "1.0.0", roles: ["a"] } as const;
    const base = { summary: "", data: z.object({ id: z.string() }), emit: {}, hear: {} };
    const reply = z.object({});
    defineContract({ ...make, events: { e: { ...base, keep: "none", reply } } });
    // @ts-expect-error: kept
    const kept = () => defineContract({ ...make, events: { e: { ...base, keep: "log", reply } } });
    const latest = () =>
      // @ts-expect-error: kept
      defineContract({ ...make, events: { e: { ...base, keep: "latest", key: "id", reply } } });
    const text = () =>
      // @ts-expect-error: a bare string could never be given a second property
      defineContract({ ...make, events: { e: { ...base, keep: "none", reply: z.string() } } });
    return [kept, latest, text];
  },
};

it.each(Object.keys(claims))("the compiler holds: %s", (claim) => {
  expect(claims).toHaveProperty([claim]);
});

it("the names of what is emitted and heard can be listed, without the questions", () => {
  const names = eventNames(kitchen);
  holds<Equal<typeof names, readonly EventName<Kitchen>[]>>();
  expect(names).toEqual(["ordered", "waved"]);
});
