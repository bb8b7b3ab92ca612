import { type Contract, type EventName, eventNames, type Meta, type RoleOf } from "@orrery/contracts";
import { connect } from "./connect.ts";

export interface Observed {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly meta: Meta;
}

/** For tests: a satellite that hears events, all or some, from the start of the log, and remembers them in order. */
export function observe<C extends Contract>(
  contract: C,
  url: string,
  role: RoleOf<C>,
  events = eventNames(contract),
) {
  const heard: Observed[] = [];
  const looking = new Set<() => void>();
  const satellite = connect(contract, { url, role, id: "observer", from: "start" });
  for (const event of events) {
    satellite.on(event, (data, meta) => {
      heard.push({ event, data: data as Observed["data"], meta });
      for (const look of looking) look();
    });
  }
  return {
    heard,
    /** What was heard of an event, in order, by its keys. */
    keysOf: (event: EventName<C>) =>
      heard.filter((one) => one.event === event).map(({ meta }) => meta.subject),
    /** Resolves when so many events were heard. */
    async hears(count: number): Promise<void> {
      await new Promise<void>((resolve) => {
        const look = () => {
          if (heard.length < count) return;
          looking.delete(look);
          resolve();
        };
        looking.add(look);
        look();
      });
    },
    [Symbol.asyncDispose]: () => satellite.close(),
  };
}
