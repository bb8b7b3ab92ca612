import type { Parcel } from "@orrery/contracts/parcels";
import { connect, type Satellite } from "@orrery/satellite";
import { jobs } from "../jobs.ts";
import type { Team, Wanted, WorkPeer } from "../work-peer.ts";

/** A group of Orrery's, each member a satellite with a connection of its own. */
export class OrreryGroup implements WorkPeer {
  readonly #url: string;
  readonly #event: "keyed" | "unordered";
  #giver: Satellite<typeof jobs> | undefined;

  constructor(url: string, event: "keyed" | "unordered") {
    this.#url = url;
    this.#event = event;
  }

  /** Every group of the hub sees them: one is asked at a time, from where it was made. */
  async give(_queue: string, given: readonly Parcel[]): Promise<void> {
    this.#giver ??= connect(jobs, { url: this.#url, role: "giver", id: "g" });
    const giver = this.#giver;
    await Promise.all(given.map((job) => giver.emit(this.#event, job)));
  }

  async assemble(group: string, { members, capacity, onJob, onSettled, onError }: Wanted): Promise<Team> {
    const workers = Array.from({ length: members }, (_, number) =>
      connect(jobs, { url: this.#url, role: "worker", id: `w${number}`, onError }),
    );
    await Promise.all(workers.map((worker) => worker.ready()));
    const working = workers.map((worker) =>
      worker.work(this.#event, { group, capacity: 0 }, async (job, { done }) => {
        onJob(job);
        await done();
        onSettled(1);
      }),
    );
    await Promise.all(working.map((one) => one.ready()));
    return {
      start: () => {
        for (const one of working) one.capacity = capacity;
      },
      left: async () => {
        const status = (await workers[0]?.groups())?.find((one) => one.group === group);
        if (status === undefined) throw new Error(`the hub does not know the group ${group}`);
        return status.waiting + status.held + status.dead;
      },
      end: async () => {
        await Promise.all(workers.map((worker) => worker.close()));
      },
    };
  }
}
