// A process that floods a server. It has only what the others leave of the processors, as if it were on a machine of its own.
import { constants, setPriority } from "node:os";
import { answerParent } from "../child.ts";
import { Flooder, type FloodKind } from "../flooder.ts";

setPriority(constants.priority.PRIORITY_LOW);

let flooder: Flooder | undefined;

export type FloodersAnswers = typeof answers;
const answers = answerParent({
  start(url: string, kind: FloodKind, connections: number): void {
    flooder = new Flooder(url, kind);
    flooder.start(connections);
  },
  /** What it has sent; of churn: how often it has tried to connect, and how often that was refused. */
  stop() {
    flooder?.stop();
    const { sent = 0, refused = 0 } = flooder ?? {};
    return { sent, refused };
  },
});
