import { parcels } from "@orrery/contracts/parcels";
import { connect } from "@orrery/satellite";

/** Says pickups of vendor acme. */
export function publish(url: string) {
  const acme = connect(parcels, { url, role: "vendor", id: "acme" });
  return {
    /** Resolves when all have their receipts. */
    async pickups(prefix: string, count: number): Promise<void> {
      const customer = { city: "são paulo", state: "SP" };
      const parcelIds = Array.from({ length: count }, (_, number) => `${prefix}-${number}`);
      await Promise.all(
        parcelIds.map((parcelId) => acme.emit("pickup", { parcelId, vendorId: "acme", customer })),
      );
    },
    [Symbol.asyncDispose]: () => acme.close(),
  };
}
