import { ownRooms, type SatelliteStatus } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { type Credentials, connect } from "@orrery/satellite";

/**
 * Asks the hub who is connected and prints it, instead of following events. Waits for the hub until `signal` is aborted;
 * rejects with the `OrreryError` of a refusal.
 */
export async function printWho({
  hubUrl,
  credentials,
  role,
  print,
  signal,
}: {
  readonly hubUrl: string;
  readonly credentials: Credentials<Parcels>;
  readonly role: Parcels["roles"][number] | "all";
  readonly print: (lines: string) => void;
  readonly signal: AbortSignal;
}): Promise<void> {
  print(`Who is connected to the hub at ${hubUrl}`);
  const satellite = connect(parcels, { url: hubUrl, ...credentials });
  signal.addEventListener("abort", () => void satellite.close());
  try {
    const wanted = (await satellite.who()).filter((one) => role === "all" || one.role === role);
    print(wanted.length > 0 ? whoLines(wanted).join("\n") : `No ${role}.`);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await satellite.close();
  }
}

/** One line each: name, since when, and what is not as it mostly is. */
export function whoLines(satellites: readonly SatelliteStatus[]): string[] {
  const width = satellites.reduce((widest, { satellite }) => Math.max(widest, satellite.length), 0);
  return satellites.map(({ satellite, role, id, since, rooms, roomCount, connections, lag }) => {
    const narrowed = rooms.filter((room) => !ownRooms({ role, id }).includes(room));
    const notes = [
      `${satellite.padEnd(width)} since ${since.slice(0, 19).replace("T", " ")}`,
      ...(connections === 0 ? ["lost just now"] : []),
      ...(connections > 1 ? [`${connections} connections`] : []),
      ...(lag > 0 ? [`${lag} behind`] : []),
      ...(narrowed.length > 0 ? [`in ${narrowed.join(" ")}`] : []),
      ...(roomCount === undefined ? [] : [`of ${roomCount} rooms`]),
    ];
    return notes.join(", ");
  });
}
