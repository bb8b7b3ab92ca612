// A process with connections that only are there.
import { answerParent } from "../child.ts";
import { RawIdlers } from "../raw-idlers.ts";

const idlers = new RawIdlers();

export type IdlersAnswers = typeof answers;
const answers = answerParent({
  connect: idlers.connect.bind(idlers),
  disconnect: idlers.disconnect.bind(idlers),
  heard: () => idlers.heard,
});
