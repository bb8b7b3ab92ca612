import type { Server as HttpServer } from "node:http";
import { Server } from "socket.io";

/** What every team starts with: Socket.IO as it comes, passing each event on. Keeps nothing, checks nothing. */
export function bareRelay(
  httpServer: HttpServer,
  { isRecovering }: { readonly isRecovering: boolean } = { isRecovering: false },
): void {
  const recovery = isRecovering ? { connectionStateRecovery: {} } : {};
  const parcels = new Server(httpServer, { transports: ["websocket"], ...recovery }).of("/parcels");
  parcels.on("connection", (socket) => {
    if (socket.handshake.auth.role === "logger") void socket.join("listeners");
    socket.on("pickup", (parcel, ack) => {
      parcels.to("listeners").emit("pickup", parcel);
      ack({ ok: true });
    });
  });
}
