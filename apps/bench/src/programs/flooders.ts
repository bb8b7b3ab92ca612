// A process that floods a server.
import { answerParent } from "../child.ts";
import { Flooder, type FloodKind } from "../flooder.ts";

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
