import type { Parcel } from "@orrery/contracts/parcels";
import { type CredentialsOf, Vendors } from "./vendors.ts";

/** Says that a parcel is to be collected. Resolves with the hub's receipt; `duplicate`: that was said before. */
export type Ask = (parcel: Parcel) => Promise<{ readonly duplicate?: true }>;

/**
 * Asks for pickups, until there are no more, or until `signal` is aborted: then it rejects with the signal's reason, or
 * just returns.
 */
export type Play = (ask: Ask, signal: AbortSignal) => Promise<void>;

/** Plays orders to the hub, thanks the customers for as long as it runs. */
export function startVendor({
  hubUrl,
  credentialsOf = (id) => ({ role: "vendor", id }),
  outbox,
  play,
  print,
}: {
  readonly hubUrl: string;
  /** Default: those of open mode. */
  readonly credentialsOf?: CredentialsOf;
  /** Directory for what has no receipt yet: the next run says it first. */
  readonly outbox: string;
  readonly play: Play;
  readonly print: (line: string) => void;
}): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const vendors = new Vendors({ hubUrl, credentialsOf, outbox, print });
  const ask: Ask = async (parcel) => {
    stopping.signal.throwIfAborted(); // no new satellites when those there are were closed
    return vendors.ask(parcel);
  };
  const playing = vendors
    .resume()
    .then(() => play(ask, stopping.signal))
    .catch((error: unknown) => {
      if (!stopping.signal.aborted) throw error;
    });
  return {
    async stop() {
      stopping.abort();
      await vendors.close();
      await playing;
    },
  };
}
