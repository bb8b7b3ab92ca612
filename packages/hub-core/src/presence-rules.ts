/** Whether a satellite is there. `missed`: its last connection is gone, and it counts as there until then. */
export type PresenceState =
  | { readonly kind: "away" }
  | { readonly kind: "here"; readonly connections: number }
  | { readonly kind: "missed"; readonly untilMs: number };

/** A connection came, or one was lost, or time has passed. */
export type PresenceInput = "connected" | "lost" | "passed";

/** What is told of it; undefined: nothing. */
export type PresenceTold = "came" | "went" | undefined;

type Rule<State> = (
  before: State,
  nowMs: number,
  graceMs: number,
) => readonly [after: PresenceState, told?: PresenceTold];

const away: PresenceState = { kind: "away" };
const here = (connections: number): PresenceState => ({ kind: "here", connections });
const stays: Rule<PresenceState> = (before) => [before];

const rules: {
  readonly [Kind in PresenceState["kind"]]: {
    readonly [Input in PresenceInput]: Rule<Extract<PresenceState, { readonly kind: Kind }>>;
  };
} = {
  away: {
    connected: () => [here(1), "came"],
    lost: stays,
    passed: stays,
  },
  here: {
    connected: ({ connections }) => [here(connections + 1)],
    lost: ({ connections }, nowMs, graceMs) => [
      connections > 1 ? here(connections - 1) : { kind: "missed", untilMs: nowMs + graceMs },
    ],
    passed: stays,
  },
  missed: {
    connected: () => [here(1)],
    lost: stays,
    passed: (before, nowMs) => (nowMs >= before.untilMs ? [away, "went"] : [before]),
  },
};

/**
 * The rules of presence: a satellite came with its first connection, and went when it had none for the whole grace; what
 * happens between, nobody is told. Pure; `nowMs` of a clock that does not go back.
 */
export function stepPresence(
  before: PresenceState,
  input: PresenceInput,
  nowMs: number,
  graceMs: number,
): readonly [after: PresenceState, told?: PresenceTold] {
  const rule = rules[before.kind][input] as Rule<PresenceState>;
  return rule(before, nowMs, graceMs);
}
