import type { Contract } from "@orrery/contracts";
import type { WebSocket } from "ws";
import type { HubSocket } from "../src/audience.ts";
import type { TestHub } from "../src/testing.ts";
import { type PlainClient, RawClient } from "./clients.ts";
import { house } from "./house.ts";

/** The client stays connected, but its process reads nothing more from its TCP socket. */
export const stall = (client: PlainClient | RawClient): void => webSocketOf(client).pause();
/** It reads on where it stopped. */
export const readOn = (client: PlainClient | RawClient): void => webSocketOf(client).resume();

function webSocketOf(client: PlainClient | RawClient): WebSocket {
  if (client instanceof RawClient) return client.socket;
  const { transport } = client.socket.io.engine;
  return (transport as unknown as { readonly ws: WebSocket }).ws;
}

/** The hub's end of the satellite's connection. */
export function hubEndOf({ hub }: TestHub, id: string, contract: Contract = house): HubSocket {
  for (const socket of hub.namespace(contract).sockets.values()) {
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
