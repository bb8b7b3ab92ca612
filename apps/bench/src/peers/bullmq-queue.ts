import type { Parcel } from "@orrery/contracts/parcels";
import { Queue, Worker } from "bullmq";
import type { Team, Wanted, WorkPeer } from "../work-peer.ts";

/** BullMQ: each member a `Worker`, which has two connections of its own. Events of one key are in no order: that is in BullMQ Pro. */
export class BullmqQueue implements WorkPeer {
  readonly #connection: { readonly url: string };
  #giver: Queue<Parcel> | undefined;

  constructor(url: string) {
    this.#connection = { url };
  }

  async give(queue: string, given: readonly Parcel[]): Promise<void> {
    if (this.#giver?.name !== queue) {
      await this.#giver?.close();
      this.#giver = new Queue<Parcel>(queue, { connection: this.#connection });
    }
    const [first] = given;
    if (given.length === 1 && first !== undefined) await this.#giver.add("job", first);
    else await this.#giver.addBulk(given.map((data) => ({ name: "job", data })));
  }

  async assemble(queue: string, { members, capacity, onJob, onSettled, onError }: Wanted): Promise<Team> {
    const connection = this.#connection;
    const workers = Array.from({ length: members }, () => {
      const worker = new Worker<Parcel>(queue, async ({ data }) => onJob(data), {
        connection,
        concurrency: capacity,
        autorun: false,
        removeOnComplete: { count: 0 }, // cheaper than to keep some
      });
      return worker
        .on("completed", () => onSettled(1))
        .on("failed", (_job, error) => onError(error))
        .on("error", onError);
    });
    await Promise.all(workers.map((worker) => worker.waitUntilReady()));
    const status = new Queue(queue, { connection });
    return {
      start: () => {
        for (const worker of workers) worker.run().catch(onError);
      },
      left: async () => {
        const counts = await status.getJobCounts("waiting", "active", "delayed", "prioritized", "failed");
        return Object.values(counts).reduce((sum, count) => sum + count, 0);
      },
      end: async () => {
        await Promise.all(workers.map((worker) => worker.close()));
        await status.obliterate({ force: true });
        await status.close();
      },
    };
  }
}
