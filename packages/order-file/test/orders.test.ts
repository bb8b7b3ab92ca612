import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OrderFileError, readOrders } from "../src/index.ts";

const header = "order_id,vendor_id,customer_city,customer_state,pickup_at,in_transit_at,delivered_at";
const good = (id: string) => `${id},acme,recife,PE,2017-07-01T09:30:00Z,,`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "orders-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function read(text: string) {
  const file = join(folder, "orders.csv");
  await writeFile(file, text);
  return readOrders(file);
}
const ids = ({ orders }: Awaited<ReturnType<typeof read>>) => orders.map(({ parcelId }) => parcelId);

describe("readOrders", () => {
  it("gives each row as an order, in the order of the file", async () => {
    const { orders, faults } = await read(`${header}
p-2,acme,"são paulo, centro",SP,2017-07-02T00:00:00Z,2017-07-03T00:00:00Z,2017-07-04T12:00:00.250Z
p-1,bolt,recife,PE,2017-07-01T09:30:00Z,2017-07-03T00:00:00Z,
p-3,acme,"o ""porto""",RJ,2017-07-05T00:00:00Z,,
`);
    expect(faults).toEqual([]);
    expect(orders).toStrictEqual([
      {
        parcelId: "p-2",
        vendorId: "acme",
        city: "são paulo, centro",
        state: "SP",
        pickupAtMs: Date.UTC(2017, 6, 2),
        inTransitAtMs: Date.UTC(2017, 6, 3),
        deliveredAtMs: Date.UTC(2017, 6, 4, 12, 0, 0, 250),
      },
      {
        parcelId: "p-1",
        vendorId: "bolt",
        city: "recife",
        state: "PE",
        pickupAtMs: Date.UTC(2017, 6, 1, 9, 30),
        inTransitAtMs: Date.UTC(2017, 6, 3),
      },
      { parcelId: "p-3", vendorId: "acme", city: 'o "porto"', state: "RJ", pickupAtMs: Date.UTC(2017, 6, 5) },
    ]);
  });

  it("finds columns by name, in any order and among others", async () => {
    const { orders, faults } =
      await read(`note,pickup_at,delivered_at,in_transit_at,customer_state,customer_city,vendor_id,order_id
fragile,2017-07-01T09:30:00Z,,,PE,recife,acme,p-1
`);
    expect(faults).toEqual([]);
    expect(orders).toMatchObject([{ parcelId: "p-1", vendorId: "acme", city: "recife", state: "PE" }]);
  });

  it.each([
    [
      "lacks columns",
      "order_id,vendor_id,customer_city,customer_state,pickup_at\n",
      "in_transit_at, delivered_at",
    ],
    ["is empty", "", header.replaceAll(",", ", ")],
  ])("refuses a file that %s, naming them all", async (_, text, columns) => {
    const refusal = read(text);
    await expect(refusal).rejects.toThrow(OrderFileError);
    await expect(refusal).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: `${join(folder, "orders.csv")} has no column ${columns}`,
    });
  });

  it("refuses a file that cannot be read, with the cause", async () => {
    await expect(readOrders(join(folder, "missing.csv"))).rejects.toMatchObject({
      name: "OrderFileError",
      code: "CONFIG_INVALID",
      message: expect.stringContaining("missing.csv cannot be read: ENOENT"),
      cause: { code: "ENOENT" },
    });
  });
});

describe("a bad row", () => {
  const time = "expected a time such as 2017-07-01T09:30:00Z";
  it.each([
    ["p-2,acme,recife,PE,2017-07-01T09:30:00Z,", "expected 7 fields, got 6"],
    ["p-2,acme,recife,PE,2017-07-01T09:30:00Z,,,", "expected 7 fields, got 8"],
    [",acme,recife,PE,2017-07-01T09:30:00Z,,", String.raw`order_id: expected ^[\x21-\x7e]{1,100}$`],
    [good("p".repeat(101)), String.raw`order_id: expected ^[\x21-\x7e]{1,100}$`],
    [`lídice,acme,recife,PE,2017-07-01T09:30:00Z,,`, String.raw`order_id: expected ^[\x21-\x7e]{1,100}$`],
    [
      `p-2,no such id,recife,PE,2017-07-01T09:30:00Z,,`,
      "vendor_id: expected ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    ],
    [
      `p-2,${"v".repeat(101)},recife,PE,2017-07-01T09:30:00Z,,`,
      "vendor_id: expected ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    ],
    [`p-2,acme,${"c".repeat(201)},PE,2017-07-01T09:30:00Z,,`, "customer_city: expected 1 to 200 characters"],
    [
      `p-2,acme,recife,${"s".repeat(101)},2017-07-01T09:30:00Z,,`,
      "customer_state: expected 1 to 100 characters",
    ],
    ["p-2,acme,recife,PE,,,", `pickup_at: ${time}`],
    ["p-2,acme,recife,PE,2017-13-45T09:30:00Z,,", `pickup_at: ${time}`],
    ["p-2,acme,recife,PE,2017-07-01 09:30:00,,", `pickup_at: ${time}`],
    ["p-2,acme,recife,PE,2017-07-01T09:30:00+02:00,,", `pickup_at: ${time}`],
    [
      "p-2,acme,recife,PE,2017-07-01T09:30:00Z,soon,2017-02-30T00:00:00Z",
      `in_transit_at: ${time}; delivered_at: ${time}`,
    ],
    [good("p-1"), "order_id: the same as on line 2"],
    ['p-2,acme,the "old" port,PE,2017-07-01T09:30:00Z,,', "a quote is misplaced or never closed"],
    ['p-2,acme,"recife" antigo,PE,2017-07-01T09:30:00Z,,', "a quote is misplaced or never closed"],
    ['p-2,acme,"recife,PE,2017-07-01T09:30:00Z,,', "a quote is misplaced or never closed"],
  ])("such as %s is skipped and reported, and the rest goes on", async (row, message) => {
    const result = await read([header, good("p-1"), row, good("p-3"), ""].join("\n"));
    expect(result.faults).toEqual([{ line: 3, message }]);
    expect(ids(result)).toEqual(["p-1", "p-3"]);
  });

  it("does not reserve its id: the next row with it counts", async () => {
    const result = await read([header, "p-1,acme,recife,PE,never,,", good("p-1")].join("\n"));
    expect(result.faults).toMatchObject([{ line: 2 }]);
    expect(ids(result)).toEqual(["p-1"]);
  });

  it("may be every row, also several with open quotes", async () => {
    const open = 'p,acme,"recife,PE,2017-07-01T09:30:00Z,,';
    const result = await read([header, open, open, open].join("\n"));
    expect(result.faults.map(({ line }) => line)).toEqual([2, 3, 4]);
    expect(result.orders).toEqual([]);
  });

  // Every way to write the same lines, so that a line number holds in whatever form a file comes.
  describe.each([
    ["LF", "\n"],
    ["CRLF", "\r\n"],
  ])("in a file with %s", (_, lineEnd) => {
    describe.each([
      ["no byte order mark", ""],
      ["a byte order mark", "\uFEFF"],
    ])("and %s", (_, mark) => {
      it.each([
        ["a line end at the end", lineEnd],
        ["none at the end", ""],
        ["blank lines at the end", lineEnd.repeat(3)],
      ])("and %s is reported by the line on which it begins", async (_, end) => {
        const lines = [
          /* 1 */ "",
          /* 2 */ header,
          /* 3 */ good("p-1"),
          /* 4 */ "",
          /* 5 */ "p-2,acme,recife,PE,never,,",
          /* 6 */ 'p-3,acme,"são',
          /* 7 */ "",
          /* 8 */ 'paulo",SP,2017-07-01T09:30:00Z,,',
          /* 9 */ 'p-4,acme,"rio de',
          /* 10 */ 'janeiro",RJ,2017-07-01T09:30:00Z',
          /* 11 */ "",
          /* 12 */ "",
          /* 13 */ 'p-5,acme,"recife,PE,2017-07-01T09:30:00Z,,',
          /* 14 */ good("p-6"),
          /* 15 */ good("p-1"),
          /* 16 */ good("p-7"),
          /* 17 */ "p-8",
        ];
        const result = await read(mark + lines.join(lineEnd) + end);
        expect(result.faults.map(({ line }) => line)).toEqual([5, 9, 13, 15, 17]);
        expect(ids(result)).toEqual(["p-1", "p-3", "p-6", "p-7"]);
        expect(result.orders[1]?.city).toBe(`são${lineEnd.repeat(2)}paulo`);
      });
    });
  });

  it("has the right line number in a file of many rows", async () => {
    const rows = Array.from({ length: 20_000 }, (_, i) =>
      i % 1_000 === 0 ? `p-${i},too,few` : good(`p-${i}`),
    );
    const { orders, faults } = await read([header, ...rows].join("\n"));
    expect(orders.length).toBe(19_980);
    expect(faults.map(({ line }) => line)).toEqual(Array.from({ length: 20 }, (_, i) => i * 1_000 + 2));
  });
});
