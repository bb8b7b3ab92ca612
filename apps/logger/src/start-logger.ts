import { type EventName, OrreryError } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { connect } from "@orrery/satellite";
import { openEventFile } from "./event-file.ts";
import { lineOf } from "./line.ts";

/**
 * Writes every event to the file, a line of JSON each, in the order of the log, and prints a short line. It goes on after
 * the last event that the file has, so the file is complete and without repeats however often the logger is killed.
 * Rejects with `CONFIG_INVALID` where the file cannot be opened.
 */
export async function startLogger({
  hubUrl,
  loggerId,
  file,
  print,
  onFault,
}: {
  readonly hubUrl: string;
  readonly loggerId: string;
  /** Made, with its directory, where it is not there. `<file>.epoch` is written beside it. */
  readonly file: string;
  /** Called once for all lines of a turn, without the last line feed. */
  readonly print: (lines: string) => void;
  /** It cannot go on: the hub refused it, or the file cannot be written. Lines may be lost after this. */
  readonly onFault: (error: unknown) => void;
}): Promise<{ stop(): Promise<void> }> {
  const events = await openEventFile(file, onFault);
  print(`Writing to ${file}, for the hub at ${hubUrl}`);
  if (events.isUnknown) {
    print(`${file} does not tell which log it is from: all that the hub has kept is written after it.`);
  }

  const satellite = connect(parcels, {
    url: hubUrl,
    role: "logger",
    id: loggerId,
    from: events.cursor ?? "start",
    onStatus(status, reason) {
      if (status === "online") print("connected");
      if (status === "offline") print("connection lost, reconnecting");
      if (status !== "refused") return;
      print(`refused: ${reason?.code}`);
      onFault(reason);
    },
    onError(error) {
      if (!(error instanceof OrreryError && error.code === "HISTORY_CHANGED")) return onFault(error);
      print("The hub has another log now: all that it has kept is written after what was there.");
    },
  });

  const printSoon = gathered(print);
  for (const event of Object.keys(parcels.events) as EventName<Parcels>[]) {
    satellite.on(event, (data, meta) => {
      events.append(JSON.stringify({ event, time: meta.time, data, meta }), epochOf(satellite.cursor));
      printSoon(lineOf(event, data, meta));
    });
  }

  return {
    async stop() {
      await satellite.close();
      await events.close();
    },
  };
}

/** An event is heard only when there is a cursor. */
const epochOf = (cursor = ""): string => cursor.slice(0, cursor.indexOf(":"));

/** One call for all lines of a turn: a hub's packet may bring hundreds. */
function gathered(print: (lines: string) => void): (line: string) => void {
  const lines: string[] = [];
  return (line) => {
    if (lines.push(line) > 1) return;
    queueMicrotask(() => print(lines.splice(0).join("\n")));
  };
}
