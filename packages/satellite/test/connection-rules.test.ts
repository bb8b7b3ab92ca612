import { type ErrorCode, errorBody, errors, OrreryError } from "@orrery/contracts";
import fc from "fast-check";
import { type Connection, type ConnectionInput, step } from "../src/connection.ts";

const codes = Object.keys(errors) as ErrorCode[];
const input: fc.Arbitrary<ConnectionInput> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: "connected" } as const) },
  { weight: 3, arbitrary: fc.boolean().map((isByHub) => ({ kind: "disconnected", isByHub }) as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "listening" } as const) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(...codes)
      .map((code) => ({ kind: "not-listening", reason: new OrreryError(code) }) as const),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(...codes, "TOKEN_EXPIRED" as const), fc.boolean(), fc.boolean())
      .map(
        ([code, isHandshake, hasNewToken]) =>
          ({ kind: "told", error: errorBody(code), isHandshake, hasNewToken }) as const,
      ),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "no-token" } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "closed" } as const) },
);
const isFinal = ({ status }: Connection) => status === "refused" || status === "closed";

it("whatever happens to a connection, it ends once and for good, has a reason where it was refused, and comes back where nobody else sees to that", () => {
  fc.assert(
    fc.property(fc.array(input, { maxLength: 30 }), (inputs) => {
      let now: Connection = { status: "connecting" };
      let ends = 0;
      for (const one of inputs) {
        const before = now;
        const [after, effect] = step(before, one);
        now = after;
        if (effect === "end") ends += 1;
        if (isFinal(before)) expect([after, effect]).toEqual([before, "none"]);
        if (!isFinal(before)) expect(effect === "end").toBe(isFinal(after));
        if (after.status === "refused") expect(after.reason?.retryable).toBe(false);
        if (after.status === "online" && one.kind === "connected") expect(after.reason).toBeUndefined();
        if (after.status === "not-listening") expect(after.reason).toBeDefined();
        if (after.status === "connecting") expect(before.status).toBe("connecting");
        if (effect !== "reconnect") continue;
        const isUnseen =
          (one.kind === "disconnected" && one.isByHub) ||
          (one.kind === "told" && one.isHandshake) ||
          one.kind === "no-token";
        expect([isUnseen, isFinal(after)]).toEqual([true, false]);
      }
      expect(ends).toBe(isFinal(now) ? 1 : 0);
    }),
    { numRuns: 1_000 },
  );
});
