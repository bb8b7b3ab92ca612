import { defineContract } from "@orrery/contracts";
import { startHub } from "@orrery/hub-core/testing";
import { z } from "zod";
import { connect } from "../src/index.ts";

/** Parcels go through numbered steps, one after the other. */
const line = defineContract({
  name: "line",
  version: "1.0.0",
  roles: ["source", "worker"],
  events: {
    step: {
      summary: "The next step of a parcel is to be done.",
      data: z.strictObject({ parcelId: z.string(), step: z.number() }),
      keep: "log",
      key: "parcelId",
      emit: { source: "all" },
      hear: { worker: "all" },
    },
  },
});

const parcelIds = Array.from({ length: 1_000 }, (_, place) => `p-${place}`);
const steps = 10;
const workers = 8;
const attempts = 4;
const poisoned = { parcelId: "p-500", step: 3 };

/** 5 of 100, the same in each run. */
function fails(parcelId: string, step: number, attempt: number): boolean {
  let hash = 2_166_136_261;
  for (const unit of `${parcelId} ${step} ${attempt}`) {
    hash = Math.imul(hash ^ unit.charCodeAt(0), 16_777_619) >>> 0;
  }
  return hash % 100 < 5;
}

it("1,000 parcels of 10 steps, 8 workers, 5 % of the handlers fail: order is kept, and a poisoned parcel blocks just itself", async () => {
  await using hub = await startHub({ contracts: [line] });
  const source = connect(line, { url: hub.url, role: "source", id: "s" });
  for (let step = 0; step < steps; step += 1) {
    await Promise.all(parcelIds.map((parcelId) => source.emit("step", { parcelId, step })));
  }
  const doneSteps = new Map(parcelIds.map((parcelId) => [parcelId, [] as number[]]));
  const running = new Set<string>();
  const overlaps: string[] = [];
  let failures = 0;
  const satellites = Array.from({ length: workers }, (_, place) => {
    const worker = connect(line, { url: hub.url, role: "worker", id: `w${place}`, onError: () => undefined });
    const options = { group: "line", capacity: 16, from: "start", attempts, backoffMs: 1 } as const;
    worker.work("step", options, async ({ parcelId, step }, { meta }) => {
      if (running.has(parcelId)) overlaps.push(parcelId);
      running.add(parcelId);
      await new Promise((resolve) => setImmediate(resolve));
      running.delete(parcelId);
      const isPoisoned = parcelId === poisoned.parcelId && step === poisoned.step;
      if (isPoisoned || fails(parcelId, step, meta.attempt ?? 0)) {
        failures += 1;
        throw new Error("It fell off.");
      }
      doneSteps.get(parcelId)?.push(step);
    });
    return worker;
  });
  const [first] = satellites;
  for (;;) {
    const [group] = (await first?.groups()) ?? [];
    if (group?.lag === 0 && group.waiting + group.held === 0) break;
  }
  const all = Array.from({ length: steps }, (_, step) => step);
  const withoutPoisoned = all.filter((step) => step !== poisoned.step);
  for (const [parcelId, done] of doneSteps) {
    expect([parcelId, done]).toEqual([parcelId, parcelId === poisoned.parcelId ? withoutPoisoned : all]);
  }
  expect(overlaps).toEqual([]);
  expect(failures).toBeGreaterThan(400);
  expect(await first?.dead("line")).toMatchObject([{ reason: "attempts", attempts, error: "It fell off." }]);
  await Promise.all([source, ...satellites].map((one) => one.close()));
}, 120_000);
