import { OrreryError } from "@orrery/contracts";
import type { Parcel } from "@orrery/contracts/parcels";
import { journeysOf } from "../src/journey.ts";
import { Rounds, type Say } from "../src/rounds.ts";

const parcelOf = (parcelId: string): Parcel => ({
  parcelId,
  vendorId: "acme",
  customer: { city: "recife", state: "PE" },
});
const atOnce = journeysOf({ orders: [], secondsPerDay: 0, paceMs: 0 });

interface Waiting {
  resolve(receipt: { duplicate?: true }): void;
  reject(error: OrreryError): void;
}

/** Rounds whose receipts come when the test says so. */
function rounds() {
  const said: string[] = [];
  const printed: string[] = [];
  const waiting = new Map<string, Waiting>();
  const heard = new Map<string, () => void>();
  const say: Say = (event, { parcelId }) => {
    const what = `${event} ${parcelId}`;
    said.push(what);
    return new Promise((resolve, reject) => {
      waiting.set(what, { resolve, reject });
      heard.get(what)?.();
    });
  };
  return {
    said,
    printed,
    running: new Rounds({ journeyOf: atOnce, say, print: (line) => printed.push(line) }),
    receipt: (what: string, receipt: { duplicate?: true } = {}) => waiting.get(what)?.resolve(receipt),
    refuse: (what: string, error: OrreryError) => waiting.get(what)?.reject(error),
    says: async (what: string): Promise<void> => {
      if (!waiting.has(what)) await new Promise<void>((resolve) => heard.set(what, resolve));
    },
  };
}
const saidBefore = () => new OrreryError("ID_REUSED");

describe("a driver's rounds", () => {
  it("say delivered only after the receipt for in-transit of the same parcel, and do not hold up others", async () => {
    const { running, said, says, receipt } = rounds();
    running.pickup(parcelOf("p-1"), 0);
    running.pickup(parcelOf("p-2"), 0);
    await says("in-transit p-2");
    receipt("in-transit p-2");
    await says("delivered p-2");
    expect(said).toEqual(["in-transit p-1", "in-transit p-2", "delivered p-2"]);
    receipt("in-transit p-1");
    await says("delivered p-1");
    running.stop();
  });

  it("do not say what the log has already", async () => {
    const { running, said, says } = rounds();
    for (const id of ["p-1", "p-2", "p-3"]) running.pickup(parcelOf(id), 0);
    running.collected(parcelOf("p-1"), 0);
    running.collected(parcelOf("p-2"), 0);
    running.delivered("p-2");
    await says("in-transit p-3");
    await says("delivered p-1");
    expect(said).toEqual(["in-transit p-3", "delivered p-1"]);
    running.stop();
  });

  it("leave a parcel to the driver who has it", async () => {
    const { running, said, printed, says, refuse } = rounds();
    running.pickup(parcelOf("p-1"), 0);
    await says("in-transit p-1");
    refuse("in-transit p-1", saidBefore());
    running.pickup(parcelOf("p-2"), 0);
    await says("in-transit p-2");
    expect(said).toEqual(["in-transit p-1", "in-transit p-2"]);
    expect(printed).toEqual([]);
    expect(running.stop()).toBe("0 collected, 0 delivered, 1 times it was said before");
  });

  it.each(["before", "after"])(
    "deliver a parcel that an earlier run collected, heard %s the refusal to collect it again",
    async (when) => {
      const { running, says, refuse } = rounds();
      running.pickup(parcelOf("p-1"), 0);
      await says("in-transit p-1");
      if (when === "before") running.collected(parcelOf("p-1"), 0);
      refuse("in-transit p-1", saidBefore());
      running.pickup(parcelOf("p-2"), 0);
      await says("in-transit p-2");
      if (when === "after") running.collected(parcelOf("p-1"), 0);
      await says("delivered p-1");
      running.stop();
    },
  );

  it("report another refusal and go on", async () => {
    const { running, printed, says, refuse, receipt } = rounds();
    running.pickup(parcelOf("p-1"), 0);
    running.pickup(parcelOf("p-2"), 0);
    await says("in-transit p-2");
    refuse("in-transit p-1", new OrreryError("DATA_INVALID"));
    receipt("in-transit p-2");
    await says("delivered p-2");
    expect(printed).toEqual([
      "parcel p-1: in-transit refused, DATA_INVALID: The data does not fit the contract.",
      "collected p-2 from acme",
    ]);
    running.stop();
  });

  it("wait for no more than 1,000 receipts at once", async () => {
    const { running, said, says, receipt } = rounds();
    for (let number = 1; number <= 1_500; number += 1) running.pickup(parcelOf(`p-${number}`), number);
    await says("in-transit p-1000");
    expect(said).toHaveLength(1_000);
    receipt("in-transit p-7");
    await says("delivered p-7");
    expect(said).toHaveLength(1_001);
    running.stop();
  });

  it("forget parcels of a log that is gone", async () => {
    const { running, said, says } = rounds();
    running.pickup(parcelOf("p-1"), 0);
    running.forget();
    running.pickup(parcelOf("p-2"), 0);
    await says("in-transit p-2");
    expect(said).toEqual(["in-transit p-2"]);
    running.stop();
  });
});
