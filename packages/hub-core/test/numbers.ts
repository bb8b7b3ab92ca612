/** The whole numbers behind the first, through the second. */
export const range = (after: number, through: number): number[] =>
  Array.from({ length: through - after }, (_, place) => after + 1 + place);

export const named = (prefix: string, count: number): string[] => range(0, count).map((n) => `${prefix}${n}`);
