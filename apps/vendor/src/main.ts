import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { readOrders, speedVariable } from "@orrery/order-file";
import { positiveVariable, readEnvironment, runProcess, urlVariable } from "@orrery/process";
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
    }),
  );
  const hubUrl = environment.HUB_URL;
  const { VENDOR_ORDERS: file, VENDOR_OUTBOX: outbox } = environment;

  if (file === "none") {
    const intervalMs = environment.VENDOR_INTERVAL_MS;
    print(`Making up an order every ${intervalMs} ms, for the hub at ${hubUrl}`);
    return startVendor({
      hubUrl,
      outbox,
      print,
      play: makeUp({ orders: madeUpOrders(), intervalMs, print }),
    });
  }
  const { orders, faults } = await readOrders(file);
  print(`Replaying ${orders.length} orders of ${file}, for the hub at ${hubUrl}`);
  const secondsPerDay = environment.VENDOR_SPEED;
  const play = replay({ fileName: basename(file), orders, faults, secondsPerDay, print });
  return startVendor({ hubUrl, outbox, print, play });
});
