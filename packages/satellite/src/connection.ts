import { type ErrorBody, OrreryError } from "@orrery/contracts";

/**
 * `connecting`: no connection yet · `online` · `offline`: it was lost, and is being made again · `refused`: the hub wants
 * no more of it, `reason` says why · `closed`: by `close()`. The last two are final.
 */
export type Status = "connecting" | "online" | "offline" | "refused" | "closed";

export interface Connection {
  readonly status: Status;
  /** Why the hub refused, or why it last closed the connection. */
  readonly reason?: OrreryError;
}

export type ConnectionInput =
  | { readonly kind: "connected" }
  /** `isByHub`: the hub ended it on purpose, and Socket.IO's client will not reconnect by itself. */
  | { readonly kind: "disconnected"; readonly isByHub: boolean }
  /** The hub's `hub:close`, or its refusal of the handshake. */
  | { readonly kind: "told"; readonly error: ErrorBody; readonly isHandshake: boolean }
  | { readonly kind: "closed" };

/** What to do after a step: `reconnect` where Socket.IO's client will not do so itself, `end` for good. */
export type ConnectionEffect = "none" | "reconnect" | "end";

/** The rules of a satellite's connection: what each thing that happens makes of it. Pure. */
export function step(before: Connection, input: ConnectionInput): readonly [Connection, ConnectionEffect] {
  if (before.status === "closed" || before.status === "refused") return [before, "none"];
  switch (input.kind) {
    case "connected":
      return [{ status: "online" }, "none"];
    case "disconnected": {
      const after = { ...before, status: "offline" } as const;
      return [after, input.isByHub ? "reconnect" : "none"];
    }
    case "told": {
      const reason = OrreryError.from(input.error);
      if (!reason.retryable) return [{ status: "refused", reason }, "end"];
      return [{ ...before, reason }, input.isHandshake ? "reconnect" : "none"];
    }
    case "closed":
      return [{ ...before, status: "closed" }, "end"];
  }
}
