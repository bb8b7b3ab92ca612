import { type Limits, limitFaults } from "@orrery/hub-core";
import { z } from "zod";

const expected = "expected a JSON object of limits";

/** Changes of the hub's limits as one variable: a JSON object of their names and values. Every fault in it is named. */
export const limitsVariable = z.string(expected).transform((text, context): Partial<Limits> => {
  const changes = objectIn(text);
  for (const fault of changes === undefined ? [expected] : limitFaults(changes)) context.addIssue(fault);
  return changes ?? z.NEVER;
});

function objectIn(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
