import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type DataOut, OrreryError, type ReceiptOf } from "@orrery/contracts";
import { type Parcel, type Parcels, parcels } from "@orrery/contracts/parcels";
import { type Credentials, connect, type Satellite, type Status } from "@orrery/satellite";

/** How the vendor with an id shows who it is. */
export type CredentialsOf = (vendorId: string) => Credentials<Parcels>;

/**
 * Many vendors in one process. The contract lets a vendor say its own pickups only, so each has a satellite, connected
 * when it first asks for something. To people they are one: a line when the hub is there, a line when it is gone.
 */
export class Vendors {
  readonly #hubUrl: string;
  readonly #credentialsOf: CredentialsOf;
  readonly #outbox: string;
  readonly #print: (line: string) => void;
  readonly #satellites = new Map<string, Satellite<Parcels>>();
  readonly #online = new Set<string>();
  #isHistoryTold = false;

  /** `outbox`: a directory, with a file for each vendor that waits for a receipt. */
  constructor({
    hubUrl,
    credentialsOf,
    outbox,
    print,
  }: {
    readonly hubUrl: string;
    readonly credentialsOf: CredentialsOf;
    readonly outbox: string;
    readonly print: (line: string) => void;
  }) {
    this.#hubUrl = hubUrl;
    this.#credentialsOf = credentialsOf;
    this.#outbox = outbox;
    this.#print = print;
  }

  /**
   * Connects the vendors whose pickups an earlier run could not say any more: they say them now. Rejects with `CONFIG_INVALID`
   * where the outbox is no directory, or cannot be read.
   */
  async resume(): Promise<void> {
    const files = await readdir(this.#outbox).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      const detail = `The outbox cannot be opened: ${error.message}.`;
      throw new OrreryError("CONFIG_INVALID", { detail });
    });
    for (const file of files) {
      if (file.endsWith(suffix)) this.#satelliteOf(file.slice(0, -suffix.length));
    }
  }

  /**
   * Says the pickup as its vendor. The parcel gives the event its id, so it happens once however often it is said. Waits
   * for the hub; rejects with the `OrreryError` of a refusal.
   */
  ask(parcel: Parcel): Promise<ReceiptOf<"log">> {
    const { parcelId, vendorId } = parcel;
    return this.#satelliteOf(vendorId).emit("pickup", parcel, { id: `pickup:${parcelId}` });
  }

  /** Waits for receipts that are due. */
  async close(): Promise<void> {
    await Promise.all([...this.#satellites.values()].map((satellite) => satellite.close()));
  }

  #satelliteOf(vendorId: string): Satellite<Parcels> {
    const known = this.#satellites.get(vendorId);
    if (known !== undefined) return known;
    const satellite = this.#connect(vendorId);
    this.#satellites.set(vendorId, satellite);
    return satellite;
  }

  #connect(vendorId: string): Satellite<Parcels> {
    return connect(parcels, {
      url: this.#hubUrl,
      ...this.#credentialsOf(vendorId),
      onStatus: (status, reason) => this.#follow(vendorId, status, reason),
      outbox: { file: join(this.#outbox, `${vendorId}${suffix}`) },
      onError: (error) => this.#print(`vendor ${vendorId}: ${String(error)}`),
      onGap: () => this.#tellHistory(),
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

  /** Once for all vendors. */
  #tellHistory(): void {
    if (this.#isHistoryTold) return;
    this.#isHistoryTold = true;
    this.#print("The hub has another log now, or does not keep all of it: some deliveries were missed.");
  }
}

/** Of a vendor's file in the outbox. */
const suffix = ".jsonl";

function thanks({ parcelId, driverId, customer }: DataOut<Parcels, "delivered">): string {
  const { name, city, state } = customer;
  const whom = name === undefined ? `${city} (${state})` : `${name} of ${city} (${state})`;
  const parcel = parcelId.length > 12 ? `${parcelId.slice(0, 8)}…` : parcelId;
  return `Thank you, ${whom}: parcel ${parcel} delivered by ${driverId}`;
}
