/** How answers are written into the trace, and put into an order. */
import { isAbsence } from "../../src/store/failure.ts";

export function codeOf(error: Error): string {
  const code = "code" in error ? String(error.code) : error.name;
  return isAbsence(error) ? "absent" : code;
}

/** Rows in an order of their own, where the statement asks for none. */
export function sorted<Row>(rows: readonly Row[]): readonly Row[] {
  if (rows.length < 2) return rows;
  const keyed = rows.map((row) => ({ row, key: JSON.stringify(row, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)) }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ row }) => row);
}
