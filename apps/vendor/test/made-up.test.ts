import { Parcel } from "@orrery/contracts/parcels";
import { madeUpOrders, makeUp } from "../src/made-up.ts";
import { waitUntilDue } from "../src/wait.ts";

/** Park and Miller's generator: the same numbers each time. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

describe("made-up orders", () => {
  const take = (count: number, seed: number) => {
    const orders = madeUpOrders(randomFrom(seed));
    return Array.from({ length: count }, () => orders.next().value);
  };

  it("fit the contract, come from a handful of vendors, and are different parcels", () => {
    const orders = take(500, 7);
    for (const order of orders) expect(Parcel.parse(order)).toEqual(order);
    expect(new Set(orders.map(({ parcelId }) => parcelId)).size).toBe(500);
    expect([...new Set(orders.map(({ vendorId }) => vendorId))].sort()).toEqual([
      "acme",
      "bolt-and-nut",
      "corner-books",
      "daily-tea",
      "evergreen",
    ]);
  });

  it("are of one vendor where that is asked for", () => {
    const orders = madeUpOrders(randomFrom(7), ["globex"]);
    for (let count = 0; count < 20; count += 1) expect(orders.next().value.vendorId).toBe("globex");
  });

  it("are the same for the same randomness", () => {
    expect(take(3, 7)).toEqual(take(3, 7));
    expect(take(3, 7)).not.toEqual(take(3, 8));
  });

  it("are asked for one after the other, until told to stop", async () => {
    const stopping = new AbortController();
    const asked: string[] = [];
    const play = makeUp({ orders: madeUpOrders(randomFrom(7)), intervalMs: 1, print: () => {} });
    const ask = async ({ parcelId }: Parcel) => {
      asked.push(parcelId);
      if (asked.length === 3) stopping.abort();
      return {};
    };
    await expect(play(ask, stopping.signal)).rejects.toMatchObject({ name: "AbortError" });
    expect(asked).toEqual(take(3, 7).map(({ parcelId }) => parcelId));
  });
});

it("waits for what is further away than a timer reaches", async () => {
  const stopping = new AbortController();
  let looks = 0;
  const far = waitUntilDue(() => {
    looks += 1;
    return 2 ** 40;
  }, stopping.signal);
  const untilMs = Date.now() + 10;
  await waitUntilDue(() => untilMs - Date.now(), stopping.signal); // an overflowing timer fires after 1 ms
  expect(looks).toBe(1);
  stopping.abort();
  await expect(far).rejects.toMatchObject({ name: "AbortError" });
});

it("waits no more when told to stop, even for what is due", async () => {
  await expect(waitUntilDue(() => 0, AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
});
