import type { HubSocket } from "../src/audience.ts";
import type { TestHub } from "../src/testing.ts";
import type { PlainClient } from "./clients.ts";
import { house } from "./house.ts";

/** The client stays connected, but its process reads nothing more from its TCP socket. */
export const stall = (client: PlainClient): void => socketOf(client).pause();
/** It reads on where it stopped. */
export const readOn = (client: PlainClient): void => socketOf(client).resume();

/** The `ws` socket of a client that uses the `websocket` transport. */
function socketOf({ socket }: PlainClient): { pause(): void; resume(): void } {
  const { transport } = socket.io.engine;
  return (transport as unknown as { ws: { pause(): void; resume(): void } }).ws;
}

/** The hub's end of the satellite's connection. */
export function hubEndOf({ hub }: TestHub, id: string): HubSocket {
  for (const socket of hub.namespace(house).sockets.values()) {
    if (socket.data.identity.id === id) return socket as HubSocket;
  }
  throw new Error(`${id} is not connected`);
}

/** Everything that waits in the hub's process for the connection: with Engine.IO, and with `ws` and Node below it. */
export function heldBytes({ conn }: HubSocket): number {
  const { writeBuffer, transport } = conn as unknown as {
    readonly writeBuffer: readonly { readonly data: string }[];
    readonly transport: { readonly socket: { readonly bufferedAmount: number } };
  };
  return writeBuffer.reduce((sum, { data }) => sum + data.length, transport.socket.bufferedAmount);
}
