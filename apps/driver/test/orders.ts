import { type Parcel, parcels } from "@orrery/contracts/parcels";
import { connect } from "@orrery/satellite";
import { type Observed, observe } from "@orrery/satellite/testing";

export const idsOf = (count: number) => Array.from({ length: count }, (_, number) => `p-${number}`);

export const parcelOf = (parcelId: string): Parcel => ({
  parcelId,
  vendorId: "acme",
  customer: { city: "recife", state: "PE" },
});

/** Says one pickup each, as acme. */
export async function ask(url: string, parcelIds: readonly string[]): Promise<void> {
  const acme = connect(parcels, { url, role: "vendor", id: "acme" });
  await Promise.all(
    parcelIds.map((parcelId) => acme.emit("pickup", parcelOf(parcelId), { id: `pickup:${parcelId}` })),
  );
  await acme.close();
}

/** Hears what becomes of parcels. */
export const observeParcels = (url: string) =>
  observe(parcels, url, "logger", ["pickup", "in-transit", "delivered"]);

/** Each parcel has all three events, once and in order. */
export function expectEachOnceInOrder(heard: readonly Observed[], parcelIds: readonly string[]): void {
  const told = new Map<unknown, string[]>(parcelIds.map((parcelId) => [parcelId, []]));
  for (const { event, meta } of heard) told.get(meta.subject)?.push(event);
  const others = [...told].filter(([, events]) => events.join() !== "pickup,in-transit,delivered");
  expect(others).toEqual([]);
  expect(heard).toHaveLength(3 * parcelIds.length);
}
