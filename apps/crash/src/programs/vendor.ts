// Says so many pickups, one parcel each, and prints `said` when it has all receipts.
import { parcels } from "@orrery/contracts/parcels";
import { readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { connect } from "@orrery/satellite";
import { z } from "zod";
import { endWithParent } from "./end-with-parent.ts";

endWithParent();
await runProcess("vendor", async () => {
  console.log("started");
  const { HUB_URL, NAME, PICKUPS } = readEnvironment(
    z.object({ HUB_URL: urlVariable, NAME: z.string(), PICKUPS: z.coerce.number().int().positive() }),
  );
  const vendor = connect(parcels, {
    url: HUB_URL,
    role: "vendor",
    id: NAME,
    onError(error) {
      throw error;
    },
  });
  const customer = { city: "Recife", state: "PE" };
  const say = (serial: number) =>
    vendor.emit("pickup", { parcelId: `p-${serial}`, vendorId: NAME, customer });
  await Promise.all(Array.from({ length: PICKUPS }, (_, serial) => say(serial)));
  console.log("said");
  return { stop: () => vendor.close() };
});
