/**
 * Where a follower is. Everything up to `cursor` is handled; up to `position` it is read; what lies between was delivered,
 * in `open` batches, and waits for its answers, which may come in any order.
 */
export interface FollowerState {
  readonly cursor: number;
  readonly position: number;
  readonly open: readonly { readonly through: number; readonly isHandled: boolean }[];
  readonly isReading: boolean;
  /** The cursor that is on disk, or on its way there. */
  readonly saved: number;
}

export type FollowerInput =
  /** A page was read: `through` where it ends; an empty one has nothing to deliver. */
  | { readonly kind: "page"; readonly through: number; readonly isEmpty: boolean }
  /** The batch that ends there was answered. */
  | { readonly kind: "handled"; readonly through: number }
  /** The log has grown, or a connection has just begun to follow. */
  | { readonly kind: "grown" };

export interface FollowerEffects {
  /** Read on after `position`. */
  readonly read: boolean;
  /** Put the cursor on disk. */
  readonly save: boolean;
}

/** Batches without an answer; more would only wait at the satellite. */
const mostOpen = 4;
/** How far a cursor that only passes over events that nobody wants may be ahead of the one on disk. Places of the log. */
const unsavedPlaces = 1_000;

export const followerAt = (cursor: number): FollowerState => ({
  cursor,
  position: cursor,
  open: [],
  isReading: false,
  saved: cursor,
});

/** The rules of a follower: what each thing that happens makes of it. `head` is the newest offset. Pure. */
export function stepFollower(
  before: FollowerState,
  input: FollowerInput,
  head: number,
): readonly [FollowerState, FollowerEffects] {
  const moved = settle(apply(before, input));
  const isFar = moved.cursor - moved.saved >= unsavedPlaces;
  const save = moved.cursor > moved.saved && (input.kind === "handled" || isFar);
  const read = !moved.isReading && moved.open.length < mostOpen && moved.position < head;
  const after = { ...moved, isReading: moved.isReading || read, saved: save ? moved.cursor : moved.saved };
  return [after, { read, save }];
}

function apply(state: FollowerState, input: FollowerInput): FollowerState {
  switch (input.kind) {
    case "page": {
      const batch = { through: input.through, isHandled: input.isEmpty };
      return { ...state, position: input.through, isReading: false, open: [...state.open, batch] };
    }
    case "handled": {
      const open = state.open.map((batch) =>
        batch.through === input.through ? { ...batch, isHandled: true } : batch,
      );
      return { ...state, open };
    }
    case "grown":
      return state;
  }
}

/** Moves the cursor over all that is handled, up to the first batch that is not. */
function settle(state: FollowerState): FollowerState {
  const firstUnhandled = state.open.findIndex(({ isHandled }) => !isHandled);
  const handled = firstUnhandled === -1 ? state.open : state.open.slice(0, firstUnhandled);
  const cursor = handled.at(-1)?.through ?? state.cursor;
  return { ...state, cursor, open: state.open.slice(handled.length) };
}
