import type { NewEvent, Whole } from "@orrery/event-log";
import { startHub, type TestHub } from "../src/testing.ts";
import { contracts } from "./house.ts";

/** One after the other, each when it is let: what was called while it was shut. */
class Gate {
  #opened = Promise.resolve();
  open: () => void = () => undefined;

  shut(): void {
    this.#opened = new Promise<void>((resolve) => {
      this.open = resolve;
    });
  }

  passed(): Promise<void> {
    return this.#opened;
  }
}

export interface GatedHub extends TestHub {
  /** Nothing is written while it is shut. */
  readonly writing: Gate;
  /** No single event is read from the log while it is shut. */
  readonly reading: Gate;
  /** What was written. */
  readonly commits: { readonly events: readonly NewEvent[]; readonly wholes: readonly Whole[] }[];
}

export async function startGated(limits: object = {}): Promise<GatedHub> {
  const hub = await startHub({ contracts, limits });
  const [writing, reading] = [new Gate(), new Gate()];
  const commits: GatedHub["commits"] = [];
  /** Of a hub that has started. */
  const gate = () => {
    const append = hub.log.append.bind(hub.log);
    const readTexts = hub.log.readTexts.bind(hub.log);
    hub.log.append = async (events, records, wholes = []) => {
      await writing.passed();
      commits.push({ events, wholes });
      return append(events, records, wholes);
    };
    hub.log.readTexts = async (request) => {
      if (request.upTo === request.after + 1 && request.runLength === undefined) await reading.passed();
      return readTexts(request);
    };
  };
  gate();
  const restart = hub.start.bind(hub);
  const start = async () => {
    await restart();
    gate();
  };
  return Object.assign(hub, { writing, reading, commits, start });
}
