import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parcels } from "@orrery/contracts/parcels";
import { readOrders, speedVariable } from "@orrery/order-file";
import { positiveVariable, readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { tokenSource, tokenVariables } from "@orrery/tokens";
import { z } from "zod";
import { madeUpOrders, makeUp } from "./made-up.ts";
import { replay } from "./replay.ts";
import { startVendor } from "./start-vendor.ts";

const print = console.log;
/** Beside `src` and `dist` alike; a bundle that is deployed alone has none. */
const shippedOrders = fileURLToPath(new URL("../data/orders.csv", import.meta.url));

await runProcess("vendor", async () => {
  const environment = readEnvironment(
    z.object({
      HUB_URL: urlVariable.default("http://127.0.0.1:4170"),
      VENDOR_ORDERS: z.string().default(existsSync(shippedOrders) ? shippedOrders : "none"),
      VENDOR_SPEED: speedVariable.default(2),
      VENDOR_INTERVAL_MS: positiveVariable.default(1_000),
      VENDOR_OUTBOX: z.string().default("./.orrery/outbox"),
      ...tokenVariables,
    }),
  );
  const hubUrl = environment.HUB_URL;
  const { VENDOR_ORDERS: file, VENDOR_OUTBOX: outbox } = environment;
  const tokens = await tokenSource(environment, parcels.name);
  const credentialsOf = (vendorId: string) => tokens.credentialsOf({ role: "vendor", id: vendorId });

  if (file === "none") {
    const intervalMs = environment.VENDOR_INTERVAL_MS;
    const { only } = tokens;
    if (only !== undefined) credentialsOf(only.id); // another role's?
    print(`Making up an order every ${intervalMs} ms, for the hub at ${hubUrl}`);
    return startVendor({
      hubUrl,
      credentialsOf,
      outbox,
      print,
      play: makeUp({ orders: madeUpOrders(Math.random, only && [only.id]), intervalMs, print }),
    });
  }
  const { orders, faults } = await readOrders(file);
  for (const { vendorId } of orders) credentialsOf(vendorId); // one token is not enough for two
  print(`Replaying ${orders.length} orders of ${file}, for the hub at ${hubUrl}`);
  const secondsPerDay = environment.VENDOR_SPEED;
  const play = replay({ fileName: basename(file), orders, faults, secondsPerDay, print });
  return startVendor({ hubUrl, credentialsOf, outbox, print, play });
});
