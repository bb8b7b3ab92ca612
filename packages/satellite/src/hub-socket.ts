import type { ClientToServerEvents, ServerToClientEvents } from "@orrery/contracts";
import type { Socket } from "socket.io-client";

/** The connection to the hub, whatever the contract. */
export type HubSocket = Socket<ServerToClientEvents, ClientToServerEvents>;
