import { once } from "node:events";
import { createServer } from "node:net";

/**
 * A free TCP port below those that systems hand out themselves (Linux from 32768, others from 49152): satellites that call
 * at a port of those, while the hub is down, may meet themselves there.
 */
export async function findPort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    try {
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
      return port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    } finally {
      server.close();
    }
  }
}
