import type { Parcel } from "@orrery/contracts/parcels";

/** Some 250 bytes of JSON. The id says which emitter made it and which one of its events it is, both from 0. */
export const parcelOf = (emitter: number, sequence: number): Parcel => ({
  parcelId: `${emitter}-${sequence}`,
  vendorId: "acme",
  customer: {
    name: "Maria Aparecida dos Santos Figueiredo de Albuquerque e Vasconcelos, c/o Condominio Jardim das Acacias",
    city: "Vila Bela da Santissima Trindade, Distrito de Ponta do Aterro",
    state: "Mato Grosso",
  },
});

/** The same with some 1.5 KB of JSON, all of it within the contract's lengths. */
export const largeParcelOf = (emitter: number, sequence: number): Parcel => {
  const parcel = parcelOf(emitter, sequence);
  return {
    ...parcel,
    customer: { name: "\u5b85".repeat(200), city: "\u5e02".repeat(200), state: "\u5dde".repeat(90) },
  };
};

export interface Place {
  readonly emitter: number;
  readonly sequence: number;
}

export function placeOf({ parcelId }: Parcel): Place {
  const [emitter, sequence] = parcelId.split("-").map(Number);
  return { emitter: emitter as number, sequence: sequence as number };
}

/** How many parcels there are in a filled log: an event of each, then the next one of each. */
export const keptParcels = 10_000;

/** What a filled log has at that place. Some 250 bytes of JSON. */
export const keptParcel = (offset: number): Parcel => parcelOf(0, offset % keptParcels);

/** Which of them it is, from 0 to `keptParcels` - 1. */
export const keptNumber = (parcelId: string): number => Number(parcelId.slice(2));
