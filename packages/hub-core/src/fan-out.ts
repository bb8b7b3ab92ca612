import type { Audience, Audiences } from "./audience.ts";
import type { Heard } from "./heard.ts";

/** Sends a commit's events to all who listen live: one packet per audience, in the order of the log. */
export function fanOut(
  events: readonly Heard[],
  audiencesOf: (contract: string) => Audiences | undefined,
): void {
  const packets = new Map<Audience, { readonly audiences: Audiences; readonly texts: string[] }>();
  for (const event of events) {
    const audiences = audiencesOf(event.contract);
    if (audiences === undefined) continue;
    for (const audience of audiences.wanting(event)) {
      const packet = packets.get(audience);
      if (packet === undefined) packets.set(audience, { audiences, texts: [event.text] });
      else if (packet.texts.at(-1) !== event.text) packet.texts.push(event.text);
    }
  }
  for (const [audience, { audiences, texts }] of packets) audiences.send(audience, texts);
}
