import { type ErrorCode, errorBody, type Issue } from "@orrery/contracts";
import type { z } from "zod";

/** The reply to what the hub does not do; with zod's findings where the message is not what it should be. */
export const refused = (code: ErrorCode, error?: z.ZodError) =>
  ({ ok: false, error: errorBody(code, error && issuesOf(error)) }) as const;

/** zod's findings as the wire says them; at most 20, since a hostile message may have thousands. */
export function issuesOf(error: z.ZodError): Issue[] {
  return error.issues
    .slice(0, 20)
    .map(({ path, message }) => ({ path: path.map(String).join("."), message }));
}
