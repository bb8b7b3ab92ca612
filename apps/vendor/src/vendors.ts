import { type DataOut, OrreryError, type ReceiptOf } from "@orrery/contracts";
import { type Parcel, type Parcels, parcels } from "@orrery/contracts/parcels";
import { connect, type Satellite, type Status } from "@orrery/satellite";

/**
 * Many vendors in one process. The contract lets a vendor say its own pickups only, so each has a satellite, connected
 * when it first asks for something. To people they are one: a line when the hub is there, a line when it is gone.
 */
export class Vendors {
  readonly #hubUrl: string;
  readonly #print: (line: string) => void;
  readonly #satellites = new Map<string, Satellite<Parcels>>();
  readonly #online = new Set<string>();
  #isHistoryTold = false;

  constructor({ hubUrl, print }: { readonly hubUrl: string; readonly print: (line: string) => void }) {
    this.#hubUrl = hubUrl;
    this.#print = print;
  }

  /**
   * Says the pickup as its vendor. The parcel gives the event its id, so it happens once however often it is said. Waits
   * for the hub; rejects with the `OrreryError` of a refusal.
   */
  ask(parcel: Parcel): Promise<ReceiptOf<"log">> {
    const { parcelId, vendorId } = parcel;
    let satellite = this.#satellites.get(vendorId);
    if (satellite === undefined) {
      satellite = this.#connect(vendorId);
      this.#satellites.set(vendorId, satellite);
    }
    return satellite.emit("pickup", parcel, { id: `pickup:${parcelId}` });
  }

  /** Waits for receipts that are due. */
  async close(): Promise<void> {
    await Promise.all([...this.#satellites.values()].map((satellite) => satellite.close()));
  }

  #connect(vendorId: string): Satellite<Parcels> {
    return connect(parcels, {
      url: this.#hubUrl,
      role: "vendor",
      id: vendorId,
      onStatus: (status, reason) => this.#follow(vendorId, status, reason),
      onError: (error) => this.#report(vendorId, error),
    }).on("delivered", (delivered) => this.#print(thanks(delivered)));
  }

  #follow(vendorId: string, status: Status, reason?: OrreryError): void {
    const before = this.#online.size;
    if (status === "online") this.#online.add(vendorId);
    else this.#online.delete(vendorId);
    if (status === "online" && before === 0) this.#print("connected");
    if (status === "offline" && before === 1) {
      this.#isHistoryTold = false;
      this.#print("connection lost, reconnecting");
    }
    if (status === "refused") this.#print(`vendor ${vendorId} refused: ${reason?.code} ${reason?.message}`);
  }

  #report(vendorId: string, error: unknown): void {
    if (!(error instanceof OrreryError && error.code === "HISTORY_CHANGED")) {
      this.#print(`vendor ${vendorId}: ${String(error)}`);
    } else if (!this.#isHistoryTold) {
      this.#isHistoryTold = true;
      this.#print("The hub has another log now: what was asked for before is not in it.");
    }
  }
}

function thanks({ parcelId, driverId, customer }: DataOut<Parcels, "delivered">): string {
  const { name, city, state } = customer;
  const whom = name === undefined ? `${city} (${state})` : `${name} of ${city} (${state})`;
  const parcel = parcelId.length > 12 ? `${parcelId.slice(0, 8)}…` : parcelId;
  return `Thank you, ${whom}: parcel ${parcel} delivered by ${driverId}`;
}
