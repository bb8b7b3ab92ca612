/** One promise, and how often it was broken. */
export interface Finding {
  /** Names the fault: `acked, but not in the log`. */
  readonly fault: string;
  readonly count: number;
  /** The first few, for people. */
  readonly examples: readonly string[];
}

export const mostExamples = 5;

/** `cases`: each time that the promise was broken. */
export function finding(fault: string, cases: readonly unknown[]): Finding {
  const examples = cases.slice(0, mostExamples).map((one) => JSON.stringify(one));
  return { fault, count: cases.length, examples };
}
