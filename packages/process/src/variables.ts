// Environment variables that several processes have: zod schemas from text to a value.
import { z } from "zod";

/**
 * A schema for one variable. `expected` completes the sentence "expected …", and `read` gives undefined for text that is
 * not of that kind. Add `.default(…)` or `.optional()` where the variable may be missing.
 */
export const variable = <Value>(expected: string, read: (text: string) => Value | undefined) =>
  z.string(`expected ${expected}`).transform((text, context) => {
    const value = read(text);
    if (value !== undefined) return value;
    context.addIssue(`expected ${expected}`);
    return z.NEVER;
  });

/** A TCP port. 0 lets the system choose one. */
export const portVariable = variable("a whole number from 0 to 65535", (text) =>
  /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined,
);

/** An absolute http or https address, as it was written. */
export const urlVariable = variable("a URL with http:// or https://", (text) =>
  /^https?:\/\//i.test(text) && URL.canParse(text) ? text : undefined,
);

/** A decimal number above 0, such as `5` or `0.25`. The variable's name says the unit. */
export const positiveVariable = variable("a number above 0", (text) =>
  /^\d+(\.\d+)?$/.test(text) && Number(text) > 0 && Number.isFinite(Number(text)) ? Number(text) : undefined,
);
