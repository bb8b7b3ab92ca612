// A process with raw listeners.
import { answerParent } from "../child.ts";
import { RawListeners } from "../raw-listeners.ts";

const listeners = new RawListeners();

export type ListenersAnswers = typeof answers;
const answers = answerParent({
  connect: listeners.connect.bind(listeners),
  until: listeners.until.bind(listeners),
});
