import { type Cursor, type EventName, OrreryError } from "@orrery/contracts";
import { type Parcels, parcels } from "@orrery/contracts/parcels";
import { type Credentials, connect, type Following } from "@orrery/satellite";
import { openEventFile } from "./event-file.ts";
import { lineOf } from "./line.ts";

/**
 * Follows every event, writes it to the file, a line of JSON each, in the order of the log, and prints a short line. It goes
 * on after the last event that the file has, so the file is complete and without repeats however often the logger is killed.
 * Rejects with `CONFIG_INVALID` where the file cannot be opened.
 */
export async function startLogger({
  hubUrl,
  credentials,
  file,
  print,
  onFault,
}: {
  readonly hubUrl: string;
  readonly credentials: Credentials<Parcels>;
  /** Made, with its directory, where it is not there. `<file>.epoch` is written beside it. */
  readonly file: string;
  /** Called once for all lines of a turn, without the last line feed. */
  readonly print: (lines: string) => void;
  /** It cannot go on: the hub refused it, or the file cannot be written. Lines may be lost after this. */
  readonly onFault: (error: unknown) => void;
}): Promise<{ stop(): Promise<void> }> {
  let isBroken = false;
  const events = await openEventFile(file, (error) => {
    isBroken = true;
    onFault(error);
  });
  print(`Writing to ${file}, for the hub at ${hubUrl}`);
  if (events.isUnknown) {
    print(`${file} does not tell which log it is from: all that the hub has kept is written after it.`);
  }

  let isStopping = false;
  const satellite = connect(parcels, {
    url: hubUrl,
    ...credentials,
    onStatus(status, reason) {
      if (status === "online") print("connected");
      if (status === "offline") print("connection lost, reconnecting");
      if (status === "refused") onFault(reason);
    },
    onError(error) {
      if (isOfToken(error)) print(error.message);
      else onFault(error);
    },
    onGap({ reason, after, until }) {
      if (reason === "epoch") {
        print("The hub has another log now: all that it has kept is written after what was there.");
      } else {
        print(
          `The hub does not keep the events after ${after} up to ${until} any more: they are missing here.`,
        );
      }
    },
  });

  const printSoon = gathered(print);
  const follow = () =>
    satellite.follow(
      Object.keys(parcels.events) as EventName<Parcels>[],
      { as: followerName, from: events.cursor ?? "start", concurrency: 1, onEnd: onFault },
      async (data, { attempt: _attempt, ...meta }) => {
        const { type, time, offset = 0 } = meta;
        const line = JSON.stringify({ event: type, time, data, meta });
        const isNew = await events.append(line, following?.epoch ?? "", offset);
        if (isNew) printSoon(lineOf(type as EventName<Parcels>, data, meta));
      },
    );
  let following: Following | undefined;
  const begin = async () => {
    // What counts is the file: it may have been put back, or away, since the hub was told how far it is.
    const known = (await satellite.followers()).find(({ as }) => as === followerName);
    if (known !== undefined && isBeyond(known.cursor, events.cursor)) await satellite.forget(followerName);
    following = follow();
  };
  begin().catch((error) => {
    if (!isStopping) onFault(error);
  });

  return {
    async stop() {
      isStopping = true;
      if (!isBroken) await following?.stop(); // a handler whose line was not written never ends
      await satellite.close();
      await events.close();
    },
  };
}

/** There is no new token for now: the satellite asks again, and is refused when the one that it has is over. */
const isOfToken = (error: unknown): error is OrreryError =>
  error instanceof OrreryError && error.code === "TOKEN_UNAVAILABLE";

/** The name under which the hub keeps the logger's cursor. */
const followerName = "events-file";

function isBeyond(cursor: Cursor, of: Cursor | undefined): boolean {
  const [epoch, offset] = cursor.split(":");
  const [ofEpoch, ofOffset] = of?.split(":") ?? [];
  return Number(offset) > (epoch === ofEpoch ? Number(ofOffset) : 0);
}

/** One call for all lines of a turn: a hub's packet may bring hundreds. */
function gathered(print: (lines: string) => void): (line: string) => void {
  const lines: string[] = [];
  return (line) => {
    if (lines.push(line) > 1) return;
    queueMicrotask(() => print(lines.splice(0).join("\n")));
  };
}
