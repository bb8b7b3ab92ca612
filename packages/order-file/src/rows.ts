import { CsvError, parse } from "csv-parse/sync";

/**
 * One row of a CSV file. `line` is where it begins, counted from 1; blank lines count, and a quoted field may make the
 * row reach over more. `fault` says why it could not be read.
 */
export type Row =
  | { readonly line: number; readonly fields: readonly string[] }
  | { readonly line: number; readonly fault: string };

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const byteOrderMark = Buffer.from("\uFEFF");

/**
 * Reads CSV as in RFC 4180: UTF-8 with or without a byte order mark, lines ending in LF or CRLF, blank lines passed over.
 * After a misplaced quote, reading goes on at the next line, so that one bad row does not swallow those after it.
 */
export function readRows(bytes: Buffer): Row[] {
  const rows: Row[] = [];
  let at = bytes.subarray(0, byteOrderMark.length).equals(byteOrderMark) ? byteOrderMark.length : 0;
  let line = 1;

  // The parser's own line numbers are where a row ends, and count a CRLF within quotes twice: its byte offsets are right.
  const moveTo = (end: number) => {
    for (; at < end; at += 1) if (bytes[at] === lineFeed) line += 1;
  };
  const passBlankLines = () => {
    let end = at;
    while (bytes[end] === lineFeed || (bytes[end] === carriageReturn && bytes[end + 1] === lineFeed))
      end += 1;
    moveTo(end);
  };

  while (at < bytes.length) {
    const from = at;
    try {
      parse(bytes.subarray(from), {
        record_delimiter: ["\r\n", "\n"],
        skip_empty_lines: true,
        relax_column_count: true,
        on_record: (fields: string[], { bytes: end }) => {
          passBlankLines();
          rows.push({ line, fields });
          moveTo(from + end);
          return null;
        },
      });
      return rows;
    } catch (error) {
      if (!(error instanceof CsvError)) throw error;
      passBlankLines();
      rows.push({ line, fault: "a quote is misplaced or never closed" });
      const end = bytes.indexOf(lineFeed, at);
      moveTo(end === -1 ? bytes.length : end + 1);
    }
  }
  return rows;
}
