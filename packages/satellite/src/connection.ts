import { type ErrorBody, OrreryError } from "@orrery/contracts";

/**
 * `connecting`: no connection yet · `online` · `not-listening`: online, but the hub has refused what it listens to, `reason`
 * says why: it speaks, and hears at best what it heard before · `offline`: the connection was lost, and is being made again ·
 * `refused`: the hub wants no more of it, `reason` says why · `closed`: by `close()`. The last two are final.
 */
export type Status = "connecting" | "online" | "not-listening" | "offline" | "refused" | "closed";

export interface Connection {
  readonly status: Status;
  /** Why the hub refused it or what it listens to, or why it last closed the connection. */
  readonly reason?: OrreryError;
}

export type ConnectionInput =
  | { readonly kind: "connected" }
  /** All that it listens to is in effect. */
  | { readonly kind: "listening" }
  /** What it listens to was refused. */
  | { readonly kind: "not-listening"; readonly reason: OrreryError }
  /** `isByHub`: the hub ended it on purpose, and Socket.IO's client will not reconnect by itself. */
  | { readonly kind: "disconnected"; readonly isByHub: boolean }
  /** There is no token to connect with, for now. */
  | { readonly kind: "no-token" }
  /** The hub's `hub:close`, or its refusal, of the handshake or before it. `hasNewToken`: for the next connection. */
  | {
      readonly kind: "told";
      readonly error: ErrorBody;
      readonly isHandshake: boolean;
      readonly hasNewToken: boolean;
    }
  | { readonly kind: "closed" };

/** What to do after a step: `reconnect` where Socket.IO's client will not do so itself, `end` for good. */
export type ConnectionEffect = "none" | "reconnect" | "end";

/** The rules of a satellite's connection: what each thing that happens makes of it. Pure. */
export function step(before: Connection, input: ConnectionInput): readonly [Connection, ConnectionEffect] {
  if (before.status === "closed" || before.status === "refused") return [before, "none"];
  switch (input.kind) {
    case "connected":
      return [{ status: "online" }, "none"];
    case "listening":
      return [before.status === "not-listening" ? { status: "online" } : before, "none"];
    case "not-listening": {
      const isConnected = before.status === "online" || before.status === "not-listening";
      return [isConnected ? { status: "not-listening", reason: input.reason } : before, "none"];
    }
    case "disconnected": {
      const after = { ...before, status: "offline" } as const;
      return [after, input.isByHub ? "reconnect" : "none"];
    }
    case "no-token":
      return [before, "reconnect"];
    case "told": {
      const reason = OrreryError.from(input.error);
      const mayReturn = reason.retryable || (reason.code === "TOKEN_EXPIRED" && input.hasNewToken);
      if (!mayReturn) return [{ status: "refused", reason }, "end"];
      return [{ ...before, reason }, input.isHandshake ? "reconnect" : "none"];
    }
    case "closed":
      return [{ ...before, status: "closed" }, "end"];
  }
}
