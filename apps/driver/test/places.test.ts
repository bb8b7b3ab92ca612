import { onTheWay, placeOf } from "../src/places.ts";

describe("a way from one place to another", () => {
  const here = { latitude: -10, longitude: -40 };
  const there = { latitude: -20, longitude: -60 };

  it("is straight, and as fast as it takes to be there in time", () => {
    const half = { latitude: -15, longitude: -50 };
    expect(onTheWay(here, there, 1_000, 2_000)).toEqual(half);
    expect(onTheWay(half, there, 1_000, 1_000)).toEqual(there);
  });

  it("ends at the place, also for who is late", () => {
    expect(onTheWay(here, there, 1_000, 300)).toEqual(there);
    expect(onTheWay(here, there, 1_000, -300)).toEqual(there);
  });

  it("leads nowhere for a state that is not known", () => {
    expect(placeOf("PE")).toEqual({ latitude: -8.05, longitude: -34.88 });
    expect(placeOf("Wonderland")).toBeUndefined();
  });
});
