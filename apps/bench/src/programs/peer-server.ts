// A process around a server that is a program of the system: `peer-server <kind> <directory>`.
import { answerParent } from "../child.ts";
import { type SystemServerKind, startSystemServer } from "../peers/system-server.ts";

const [kind, directory = ""] = process.argv.slice(2) as [SystemServerKind, string?];
const server = await startSystemServer(kind, directory);

export type PeerServerAnswers = typeof answers;
const answers = answerParent(
  {
    url: () => server.url,
    cpuMicros: () => server.cpuMicros(),
  },
  () => void server.end().finally(() => process.exit()),
);
