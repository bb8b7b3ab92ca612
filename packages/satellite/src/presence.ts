import {
  type Contract,
  OrreryError,
  type PresenceMessage,
  type Present,
  type RoleOf,
  type WhoReply,
} from "@orrery/contracts";
import { answerTo } from "./asking.ts";
import type { HubSocket } from "./hub-socket.ts";
import { type PresenceNews, PresenceView } from "./presence-view.ts";

export interface PresenceHandlers<C extends Contract> {
  /** For each satellite that is there, this one too, and then for each one that comes. */
  readonly onCame?: (satellite: Present<RoleOf<C>>) => void | Promise<void>;
  /** For each one that went, which is known when it was away for a while: the hub's `presenceGraceMs`, 3 s. */
  readonly onWent?: (satellite: Present<RoleOf<C>>) => void | Promise<void>;
}

/** Handlers whatever the contract. */
interface Handlers {
  readonly onCame?: (satellite: never) => void | Promise<void>;
  readonly onWent?: (satellite: never) => void | Promise<void>;
}

/** A running `watchPresence`. */
export interface Watching {
  /** Resolves when `onCame` was called for all that are there; rejects when it was refused. */
  ready(): Promise<void>;
  /** Hears nothing more. Resolves when the hub knows of it. */
  stop(): Promise<void>;
}

/** A satellite's watch on who comes and goes. It begins again on each connection, and tells what is different then. */
export class Presence {
  readonly #socket: HubSocket;
  readonly #onError: (error: unknown) => void;
  #watch: Watch | undefined;
  #isWelcome = false;

  constructor(socket: HubSocket, onError: (error: unknown) => void) {
    this.#socket = socket;
    this.#onError = onError;
    socket.on("hub:presence", (message) => this.#watch?.take(message));
  }

  /** Throws `CONFIG_INVALID` where it watches already. */
  watch(handlers: Handlers): Watching {
    if (this.#watch !== undefined) {
      throw new OrreryError("CONFIG_INVALID", { detail: "This satellite watches already: stop that first." });
    }
    const watch = new Watch(this.#socket, handlers, this.#onError, () => {
      this.#watch = undefined;
    });
    this.#watch = watch;
    if (this.#isWelcome) watch.begin();
    return { ready: () => watch.ready(), stop: () => watch.stop() };
  }

  /** The hub is there. */
  welcome(): void {
    this.#isWelcome = true;
    this.#watch?.begin();
  }

  lose(): void {
    this.#isWelcome = false;
    this.#watch?.lose();
  }

  /** Nothing is heard any more. */
  end(reason = new OrreryError("CLOSED")): void {
    this.#watch?.end(reason);
  }
}

class Watch {
  readonly #socket: HubSocket;
  readonly #handlers: Handlers;
  readonly #onError: (error: unknown) => void;
  readonly #onEnd: () => void;
  readonly #view = new PresenceView();
  #state: "waiting" | "watching" | "ended" = "waiting";
  #endReason: OrreryError | undefined;
  /** Counts snapshots: answers to an older one come too late. */
  #snapshot = 0;
  #giveUpTimer: ReturnType<typeof setTimeout> | undefined;
  #waitingForReady: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  constructor(socket: HubSocket, handlers: Handlers, onError: (error: unknown) => void, onEnd: () => void) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#onError = onError;
    this.#onEnd = onEnd;
  }

  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#state === "watching") resolve();
      else if (this.#state === "ended") reject(this.#endReason);
      else this.#waitingForReady.push({ resolve, reject });
    });
  }

  begin(): void {
    this.lose();
    this.#view.begin();
    this.#ask({ watch: true });
  }

  lose(): void {
    clearTimeout(this.#giveUpTimer);
    this.#snapshot += 1;
    this.#state = "waiting";
  }

  take({ changes, isOver }: PresenceMessage): void {
    for (const change of changes) this.#tell(this.#view.change(change));
    if (isOver && this.#state !== "ended") this.begin();
  }

  async stop(): Promise<void> {
    if (this.#state === "ended") return;
    this.end(new OrreryError("CLOSED"));
    await answerTo(this.#socket, "hub:unwatch", {}); // a connection that is lost meanwhile has ended it as well
  }

  end(reason: OrreryError): void {
    if (this.#state === "ended") return;
    this.lose();
    this.#state = "ended";
    this.#endReason = reason;
    for (const { reject } of this.#waitingForReady.splice(0)) reject(reason);
    this.#onEnd();
  }

  #ask(request: { readonly watch: true } | { readonly after: string }): void {
    const snapshot = this.#snapshot;
    this.#socket.emit("hub:who", request, (reply) => {
      if (snapshot === this.#snapshot) this.#answered(reply);
    });
  }

  #answered(reply: WhoReply): void {
    if (!reply.ok) {
      const reason = OrreryError.from(reply.error);
      this.#onError(reason);
      return this.end(reason);
    }
    this.#tell(this.#view.add(reply.satellites));
    if (this.#state === "ended") return; // by a handler
    if (reply.next !== undefined) return this.#ask({ after: reply.next });
    this.#state = "watching";
    for (const { resolve } of this.#waitingForReady.splice(0)) resolve();
    if (this.#view.isMissing) {
      this.#giveUpTimer = setTimeout(() => this.#tell(this.#view.giveUp()), reply.graceMs);
    }
  }

  #tell(news: readonly PresenceNews[]): void {
    for (const { kind, satellite } of news) {
      if (this.#state === "ended") return; // by a handler
      const handler = kind === "came" ? this.#handlers.onCame : this.#handlers.onWent;
      try {
        Promise.resolve(handler?.(satellite as never)).catch(this.#onError);
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}
