import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * Ends the connection of a request that is answered before all of it has come: Node reads the rest, whatever length was announced, as
 * fast as it comes, and throws it away. One connection had all of the hub's time so.
 */
export function endUnread(request: IncomingMessage, response: ServerResponse): void {
  response.once("finish", () => {
    if (!request.complete) request.socket.destroySoon();
  });
}
