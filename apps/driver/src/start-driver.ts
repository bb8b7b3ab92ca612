import { inspect } from "node:util";
import { OrreryError } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { type Credentials, connect } from "@orrery/satellite";
import { Deliveries } from "./deliveries.ts";
import { Drive } from "./drive.ts";
import type { JourneyOf } from "./journey.ts";
import { Waits } from "./waits.ts";

/**
 * Hand-overs of one parcel before it is dead. Many: what counts here is that drivers have died with it, which is not the
 * parcel's fault. What is, a refusal of what is said of it, ends it at once.
 */
const attempts = 100;
/** When stopped, what is due within it is done all the same. Milliseconds. */
const shortMs = 1_000;
/** The longest stop, so that the process ends within its 4 s. Milliseconds. */
const stopMs = 3_000;

/**
 * Works on pickups in the group `drivers`: collects and delivers what it gets, for as long as it runs. Each parcel is with one
 * driver at a time; the parcels of one that dies go to the others.
 */
export function startDriver({
  hubUrl,
  driverId,
  credentials = { role: "driver", id: driverId },
  journeyOf,
  capacity,
  leaseMs,
  positionMs = 1_000,
  print,
  onFault,
}: {
  readonly hubUrl: string;
  readonly driverId: string;
  /** Default: those of open mode. */
  readonly credentials?: Credentials<Parcels>;
  readonly journeyOf: JourneyOf;
  /** Parcels in hand at once, from the hand-over to the delivery, 1 to 10_000. */
  readonly capacity: number;
  /** How long a parcel stays this driver's when the hub does not hear from it. Milliseconds, 100 to 600_000. */
  readonly leaseMs: number;
  /** Between two positions. Milliseconds. */
  readonly positionMs?: number;
  /** Lines for people; each begins with the driver's id. */
  readonly print: (line: string) => void;
  /** It cannot go on: the hub refused it, or something is wrong in here. */
  readonly onFault: (error: unknown) => void;
}): { stop(): Promise<void> } {
  const tell = (line: string) => print(`${driverId} ${line}`);
  let isStopping = false;
  const satellite = connect(parcels, {
    url: hubUrl,
    ...credentials,
    outboxEvents: capacity + 1, // one of each parcel in hand, and a position
    onStatus(status) {
      if (status === "online") tell("connected");
      if (status === "offline" && isStopping) void satellite.close({ drainMs: 0 });
      else if (status === "offline") tell("connection lost, reconnecting");
    },
    onError(error, meta) {
      if (error instanceof OrreryError && error.code === "TOKEN_UNAVAILABLE") tell(error.message);
      else if (meta === undefined) onFault(error);
      else tell(`leaves ${meta.subject} for now, ${reasonOf(error)}`);
    },
  });

  const waits = new Waits({ shortMs });
  const drive = new Drive({
    everyMs: positionMs,
    async tell({ latitude, longitude }) {
      try {
        await satellite.emit("position", { driverId, latitude, longitude });
      } catch (error) {
        if (!isStopping) onFault(error);
      }
    },
  });
  const deliveries = new Deliveries({ driverId, journeyOf, waits, drive, print: tell });
  satellite.work(
    "pickup",
    { group: "drivers", capacity, leaseMs, attempts, from: "start", onEnd: onFault }, // hears of a refused satellite too
    (parcel, context) => deliveries.deliver(parcel, context),
  );

  return {
    async stop() {
      isStopping = true;
      drive.stop();
      // Without a hub there is nobody to give anything back to: the leases run out.
      const closed = satellite.close({ drainMs: satellite.status === "online" ? stopMs : 0 });
      waits.stop(); // after the hub was told to hand over nothing more
      await closed;
      tell(`stopped: ${deliveries.summary}`);
    },
  };
}

function reasonOf(error: unknown): string {
  return error instanceof OrreryError ? `${error.code}: ${error.message}` : inspect(error);
}
