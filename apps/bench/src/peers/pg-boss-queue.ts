import { setTimeout } from "node:timers/promises";
import type { Parcel } from "@orrery/contracts/parcels";
import PgBoss from "pg-boss";
import type { Team, Wanted, WorkPeer } from "../work-peer.ts";

/** Between two looks for work while there is none, over all members. Milliseconds. */
const lookMs = 2;

/**
 * pg-boss. Its `work` looks for work every 0.5 s at most, full batch or not: with 100 in hand it is bound to 200 a second and
 * to 250 ms. So members call `fetch` and `complete`, which it has for that, as soon as they can. They share its pool of ten
 * connections, as it comes: one with 90 is more than PostgreSQL takes as it comes.
 */
export class PgBossQueue implements WorkPeer {
  readonly #url: string;
  #boss: Promise<PgBoss> | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  async give(queue: string, given: readonly Parcel[]): Promise<void> {
    const boss = await this.#start(() => undefined); // what is asked of it rejects by itself
    const [first] = given;
    if (given.length === 1 && first !== undefined) await boss.send(queue, first);
    else await boss.insert(given.map((data) => ({ name: queue, data })));
  }

  async assemble(queue: string, wanted: Wanted): Promise<Team> {
    const { members, onError } = wanted;
    const boss = await this.#start(onError);
    await boss.createQueue(queue); // a table of its own
    const ending = new AbortController();
    let loops: readonly Promise<void>[] = [];
    return {
      start: () => {
        loops = Array.from({ length: members }, () =>
          this.#loop(boss, queue, wanted, ending.signal).catch(onError),
        );
      },
      left: () => boss.getQueueSize(queue, { before: "completed" }),
      end: async () => {
        ending.abort();
        await Promise.all(loops);
      },
    };
  }

  async #loop(boss: PgBoss, queue: string, wanted: Wanted, ending: AbortSignal): Promise<void> {
    const { members, capacity, onJob, onSettled } = wanted;
    while (!ending.aborted) {
      const fetched = await boss.fetch<Parcel>(queue, { batchSize: capacity, priority: false });
      for (const { data } of fetched) onJob(data);
      if (fetched.length === 0) await setTimeout(lookMs * members);
      else {
        await boss.complete(
          queue,
          fetched.map(({ id }) => id),
        );
        onSettled(fetched.length);
      }
    }
  }

  #start(onError: (error: unknown) => void): Promise<PgBoss> {
    this.#boss ??= new PgBoss(this.#url).on("error", onError).start();
    return this.#boss;
  }
}
