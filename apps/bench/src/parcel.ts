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

export interface Place {
  readonly emitter: number;
  readonly sequence: number;
}

export function placeOf({ parcelId }: Parcel): Place {
  const [emitter, sequence] = parcelId.split("-").map(Number);
  return { emitter: emitter as number, sequence: sequence as number };
}
