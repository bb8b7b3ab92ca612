import { readFile } from "node:fs/promises";
import { satelliteId } from "@orrery/contracts";
import { z } from "zod";
import { readRows } from "./rows.ts";

/** One parcel as it was recorded. Times are milliseconds since 1970; a missing one never happened. */
export interface Order {
  readonly parcelId: string;
  readonly vendorId: string;
  readonly city: string;
  readonly state: string;
  readonly pickupAtMs: number;
  readonly inTransitAtMs?: number;
  /** May lie before `inTransitAtMs`: see `lifecycle`. */
  readonly deliveredAtMs?: number;
}

/** A row that was skipped, by the line, from 1, on which it begins. */
export interface Fault {
  readonly line: number;
  readonly message: string;
}

/** The file as a whole is not usable: it cannot be read, or its header has not the columns needed. */
export class OrderFileError extends Error {
  readonly code = "CONFIG_INVALID";
  override readonly name = "OrderFileError";
}

const text = (max: number) => {
  const expected = `expected 1 to ${max} characters`;
  return z.string().min(1, expected).max(max, expected);
};
const pattern = (regex: RegExp) => z.string().regex(regex, `expected ${regex.source}`);
const when = z.iso
  .datetime("expected a time such as 2017-07-01T09:30:00Z")
  .transform((time) => Date.parse(time));
const whenIfEver = z.preprocess((time) => time || undefined, when.optional());

/**
 * The columns needed, so that every order read can be said: limits are those of the parcels contract, an order's id is part
 * of its events' ids, and a vendor's id is its satellite's.
 */
const columns = z.object({
  order_id: pattern(/^[\x21-\x7e]{1,100}$/),
  vendor_id: pattern(satelliteId),
  customer_city: text(200),
  customer_state: text(100),
  pickup_at: when,
  in_transit_at: whenIfEver,
  delivered_at: whenIfEver,
});
const names = Object.keys(columns.shape);

/**
 * Reads a CSV file of orders; apps/vendor/data/NOTICE.md describes the columns, which are found by name, in any order and
 * among others. Orders come in the order of the file. A row with a wrong number of fields, a field that does not fit or
 * an order_id that was there before is skipped and reported. Rejects with `OrderFileError` when the file cannot be read
 * or lacks a column.
 */
export async function readOrders(file: string): Promise<{ orders: Order[]; faults: Fault[] }> {
  const bytes = await readFile(file).catch((cause: Error) => {
    throw new OrderFileError(`${file} cannot be read: ${cause.message}`, { cause });
  });
  const [header, ...rows] = readRows(bytes);
  const heads = header && "fields" in header ? header.fields : [];
  const missing = names.filter((name) => !heads.includes(name));
  if (missing.length > 0) throw new OrderFileError(`${file} has no column ${missing.join(", ")}`);

  const orders: Order[] = [];
  const faults: Fault[] = [];
  const lineOf = new Map<string, number>();
  for (const row of rows) {
    const order = "fault" in row ? row.fault : readOrder(heads, row.fields);
    const { line } = row;
    if (typeof order === "string") {
      faults.push({ line, message: order });
    } else if (lineOf.has(order.parcelId)) {
      faults.push({ line, message: `order_id: the same as on line ${lineOf.get(order.parcelId)}` });
    } else {
      lineOf.set(order.parcelId, line);
      orders.push(order);
    }
  }
  return { orders, faults };
}

/** The order, or what is wrong with the row. */
function readOrder(heads: readonly string[], fields: readonly string[]): Order | string {
  if (fields.length !== heads.length) return `expected ${heads.length} fields, got ${fields.length}`;
  const row = Object.fromEntries(names.map((name) => [name, fields[heads.indexOf(name)]]));
  const { data, error } = columns.safeParse(row);
  if (error) return error.issues.map(({ path, message }) => `${path.join()}: ${message}`).join("; ");
  return {
    parcelId: data.order_id,
    vendorId: data.vendor_id,
    city: data.customer_city,
    state: data.customer_state,
    pickupAtMs: data.pickup_at,
    ...(data.in_transit_at !== undefined && { inTransitAtMs: data.in_transit_at }),
    ...(data.delivered_at !== undefined && { deliveredAtMs: data.delivered_at }),
  };
}
