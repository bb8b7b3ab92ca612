import { type Parcel, parcels } from "@orrery/contracts/parcels";
import { connect } from "@orrery/satellite";
import type { JourneyOf } from "./journey.ts";
import { Rounds } from "./rounds.ts";

/**
 * Collects and delivers what vendors ask for, for as long as it runs. It listens from the start of the log, so that one
 * that was away takes up what it never finished; the events' ids make each happen once all the same.
 */
export function startDriver({
  hubUrl,
  driverId,
  journeyOf,
  print,
  onFault,
}: {
  readonly hubUrl: string;
  readonly driverId: string;
  readonly journeyOf: JourneyOf;
  readonly print: (line: string) => void;
  /** It cannot go on: the hub refused it, or something is wrong in here. */
  readonly onFault: (error: unknown) => void;
}): { stop(): Promise<void> } {
  const satellite = connect(parcels, {
    url: hubUrl,
    role: "driver",
    id: driverId,
    from: "start",
    onStatus(status, reason) {
      if (status === "online") print("connected");
      if (status === "offline") print("connection lost, reconnecting");
      if (status !== "refused") return;
      print(`refused: ${reason?.code}`);
      onFault(reason);
    },
    onError: onFault,
    onGap({ reason }) {
      if (reason !== "epoch") return; // pickups that are not kept any more are nobody's to collect
      print("The hub has another log now: starting over with its parcels.");
      rounds.forget();
    },
  });

  const rounds = new Rounds({
    journeyOf,
    print,
    say(event, parcel, atMs) {
      const id = `${event}:${parcel.parcelId}`;
      const at = new Date(atMs).toISOString();
      return event === "in-transit"
        ? satellite.emit(event, { ...parcel, driverId, collectedAt: at }, { id })
        : satellite.emit(event, { ...parcel, driverId, deliveredAt: at }, { id });
    },
  });

  satellite
    .on("pickup", (parcel, { time }) => rounds.pickup(parcel, Date.parse(time)))
    .on("in-transit", (said, { time }) => rounds.collected(parcelOf(said), Date.parse(time)))
    .on("delivered", ({ parcelId }) => rounds.delivered(parcelId));

  return {
    async stop() {
      const summary = rounds.stop();
      await satellite.close();
      print(summary);
    },
  };
}

const parcelOf = ({ parcelId, vendorId, customer }: Parcel): Parcel => ({ parcelId, vendorId, customer });
