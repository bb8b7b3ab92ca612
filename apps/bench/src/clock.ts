/** The machine's clock, the same in all processes. Milliseconds since 1970, with fractions. */
export const clockMs = (): number => performance.timeOrigin + performance.now();
