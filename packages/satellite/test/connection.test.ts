import { errorBody, OrreryError } from "@orrery/contracts";
import { type Connection, type ConnectionInput, type Status, step } from "../src/connection.ts";

const told = (
  code: "HUB_CLOSING" | "PACKET_INVALID" | "TOKEN_EXPIRED",
  isHandshake: boolean,
  hasNewToken = false,
): ConnectionInput => ({ kind: "told", error: errorBody(code), isHandshake, hasNewToken });
const inputs = {
  connected: { kind: "connected" },
  "listening to what it asked for": { kind: "listening" },
  "refused what it asked for": { kind: "not-listening", reason: new OrreryError("FORBIDDEN") },
  lost: { kind: "disconnected", isByHub: false },
  dismissed: { kind: "disconnected", isByHub: true },
  "told to come back": told("HUB_CLOSING", false),
  "refused for now": told("HUB_CLOSING", true),
  "told to stay away": told("PACKET_INVALID", false),
  "refused for good": told("PACKET_INVALID", true),
  "told that its token has run out": told("TOKEN_EXPIRED", false),
  "refused for an old token": told("TOKEN_EXPIRED", true),
  "told that its token has run out, with a new one": told("TOKEN_EXPIRED", false, true),
  "refused for an old token, with a new one": told("TOKEN_EXPIRED", true, true),
  "without a token": { kind: "no-token" },
  closed: { kind: "closed" },
} as const satisfies Record<string, ConnectionInput>;

/** What each input makes of each status that is not final: the new status, and what to do. */
const table: Record<
  "connecting" | "online" | "not-listening" | "offline",
  Record<keyof typeof inputs, [Status, string]>
> = {
  connecting: {
    connected: ["online", "none"],
    "listening to what it asked for": ["connecting", "none"],
    "refused what it asked for": ["connecting", "none"],
    lost: ["offline", "none"],
    dismissed: ["offline", "reconnect"],
    "told to come back": ["connecting", "none"],
    "refused for now": ["connecting", "reconnect"],
    "told to stay away": ["refused", "end"],
    "refused for good": ["refused", "end"],
    "told that its token has run out": ["refused", "end"],
    "refused for an old token": ["refused", "end"],
    "told that its token has run out, with a new one": ["connecting", "none"],
    "refused for an old token, with a new one": ["connecting", "reconnect"],
    "without a token": ["connecting", "reconnect"],
    closed: ["closed", "end"],
  },
  online: {
    connected: ["online", "none"],
    "listening to what it asked for": ["online", "none"],
    "refused what it asked for": ["not-listening", "none"],
    lost: ["offline", "none"],
    dismissed: ["offline", "reconnect"],
    "told to come back": ["online", "none"],
    "refused for now": ["online", "reconnect"],
    "told to stay away": ["refused", "end"],
    "refused for good": ["refused", "end"],
    "told that its token has run out": ["refused", "end"],
    "refused for an old token": ["refused", "end"],
    "told that its token has run out, with a new one": ["online", "none"],
    "refused for an old token, with a new one": ["online", "reconnect"],
    "without a token": ["online", "reconnect"],
    closed: ["closed", "end"],
  },
  "not-listening": {
    connected: ["online", "none"],
    "listening to what it asked for": ["online", "none"],
    "refused what it asked for": ["not-listening", "none"],
    lost: ["offline", "none"],
    dismissed: ["offline", "reconnect"],
    "told to come back": ["not-listening", "none"],
    "refused for now": ["not-listening", "reconnect"],
    "told to stay away": ["refused", "end"],
    "refused for good": ["refused", "end"],
    "told that its token has run out": ["refused", "end"],
    "refused for an old token": ["refused", "end"],
    "told that its token has run out, with a new one": ["not-listening", "none"],
    "refused for an old token, with a new one": ["not-listening", "reconnect"],
    "without a token": ["not-listening", "reconnect"],
    closed: ["closed", "end"],
  },
  offline: {
    connected: ["online", "none"],
    "listening to what it asked for": ["offline", "none"],
    "refused what it asked for": ["offline", "none"],
    lost: ["offline", "none"],
    dismissed: ["offline", "reconnect"],
    "told to come back": ["offline", "none"],
    "refused for now": ["offline", "reconnect"],
    "told to stay away": ["refused", "end"],
    "refused for good": ["refused", "end"],
    "told that its token has run out": ["refused", "end"],
    "refused for an old token": ["refused", "end"],
    "told that its token has run out, with a new one": ["offline", "none"],
    "refused for an old token, with a new one": ["offline", "reconnect"],
    "without a token": ["offline", "reconnect"],
    closed: ["closed", "end"],
  },
};

const cases = Object.entries(table).flatMap(([status, row]) =>
  Object.entries(row).map(([input, [after, effect]]) => ({ status, input, after, effect })),
);

it.each(cases)("a satellite that is $status and then $input is $after, and does: $effect", (one) => {
  const before: Connection = { status: one.status as Status };
  const [after, effect] = step(before, inputs[one.input as keyof typeof inputs]);
  expect([after.status, effect]).toEqual([one.after, one.effect]);
});

it.each(["refused", "closed"] as const)("nothing changes a satellite that is %s", (status) => {
  for (const input of Object.values(inputs)) expect(step({ status }, input)).toEqual([{ status }, "none"]);
});

it.each(["TOKEN_REVOKED", "TOKEN_INVALID", "TOKEN_OF_ANOTHER"] as const)(
  "no new token helps against %s",
  (code) => {
    const input = { kind: "told", error: errorBody(code), isHandshake: true, hasNewToken: true } as const;
    expect(step({ status: "connecting" }, input)).toMatchObject([{ status: "refused" }, "end"]);
  },
);

it("the reason of the last goodbye is kept until the next connection", () => {
  const [toldSo] = step({ status: "online" }, inputs["told to come back"]);
  const [lost] = step(toldSo, inputs.lost);
  expect(lost).toMatchObject({ status: "offline", reason: { code: "HUB_CLOSING" } });
  expect(step(lost, inputs.connected)[0]).toEqual({ status: "online" });
});

it("the reason why it does not listen is the newest one, and gone when it does", () => {
  const [refused] = step({ status: "online" }, inputs["refused what it asked for"]);
  expect(refused).toMatchObject({ status: "not-listening", reason: { code: "FORBIDDEN" } });
  const [again] = step(refused, { kind: "not-listening", reason: new OrreryError("UNKNOWN_EVENT") });
  expect(again.reason?.code).toBe("UNKNOWN_EVENT");
  expect(step(again, inputs["listening to what it asked for"])[0]).toEqual({ status: "online" });
});
