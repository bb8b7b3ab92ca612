// Node 20 cannot start a thread from TypeScript. This is used from sources only; a build starts sqlite-thread.js itself.
import { register } from "tsx/esm/api";

register();
await import("./sqlite-thread.ts");
