import { mkdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { outDirectory, type Plan } from "./arena.ts";
import { type Spread, spreadOf } from "./statistics.ts";

/** One line of a question's answer: what was measured, and its figures. */
export interface Row {
  readonly labels: { readonly [column: string]: string };
  readonly figures: { readonly [column: string]: Spread };
  /** What performance.md asks of it, and what it is: `0.82 × bare (goal 1, least 0.8)`. */
  readonly verdicts: readonly string[];
}

export interface Question {
  readonly name: string;
  /** One sentence for people. */
  readonly asks: string;
  answer(plan: Plan): Promise<readonly Row[]>;
}

/** Every figure of `measurements`, over the rounds. */
export function figuresOf<M>(
  measurements: readonly M[],
  figures: { readonly [column: string]: (measurement: M) => number },
): Row["figures"] {
  return Object.fromEntries(
    Object.entries(figures).map(([column, of]) => [column, spreadOf(measurements.map(of))]),
  );
}

/** `rows` as columns of text: medians, with the smallest and the largest behind them. */
export function tableOf(rows: readonly Row[]): string {
  const columns = [
    ...new Set(rows.flatMap(({ labels, figures }) => [...Object.keys(labels), ...Object.keys(figures)])),
  ];
  const cell = ({ labels, figures }: Row, column: string): string => {
    const figure = figures[column];
    if (figure === undefined) return labels[column] ?? "";
    return `${short(figure.median)} (${short(figure.min)} to ${short(figure.max)})`;
  };
  const cells = [columns, ...rows.map((row) => columns.map((column) => cell(row, column)))];
  const widths = columns.map((_, place) => Math.max(...cells.map((line) => line[place]?.length ?? 0)));
  const lines = cells.map((line) =>
    line
      .map((text, place) => text.padEnd(widths[place] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const verdicts = rows.flatMap((row) => row.verdicts);
  return [...lines, ...(verdicts.length > 0 ? ["", ...verdicts] : [])].join("\n");
}

/** Three digits that count. */
function short(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

/** For programs: `out/<question>.json`. */
export async function saveAnswer(
  { name }: Question,
  { rounds, durationMs }: Plan,
  rows: readonly Row[],
): Promise<void> {
  const [processor] = cpus();
  const conditions = {
    at: new Date().toISOString(),
    node: process.version,
    cores: cpus().length,
    processor: processor?.model,
    rounds,
    durationMs,
  };
  await mkdir(outDirectory, { recursive: true });
  await writeFile(
    join(outDirectory, `${name}.json`),
    `${JSON.stringify({ question: name, conditions, rows }, null, 2)}\n`,
  );
}
