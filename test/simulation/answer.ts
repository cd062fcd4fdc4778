/** How answers are written into the trace and put into an order, and which need no server. */
import { isAbsence } from "../../src/store/failure.ts";
import { type Answer, zeroMs } from "./server.ts";

export function codeOf(error: Error): string {
  const code = "code" in error ? String(error.code) : error.name;
  return isAbsence(error) ? "absent" : code;
}

const orders = new Map<string, boolean>();

/** Whether the statement says in which order its rows come. */
export function isOrdered(text: string): boolean {
  const known = orders.get(text);
  if (known !== undefined) return known;
  const ordered = /\border by\b[^()]*$/i.test(text);
  orders.set(text, ordered);
  return ordered;
}

/** Rows in an order of their own, where the statement asks for none. */
export function sorted<Row>(rows: readonly Row[]): readonly Row[] {
  if (rows.length < 2) return rows;
  const keyed = rows.map((row) => ({ row, key: JSON.stringify(row, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)) }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ row }) => row);
}

/** What needs no server: its time is the stage's, and nobody is probed here. */
export function knownAnswer(name: string, nowMs: number): Answer | null {
  if (name === "clock.read") return { ok: true, rows: [{ now: new Date(zeroMs + Math.floor(nowMs)) }], rowCount: 1, command: "SELECT" };
  return name === "probe.due" ? { ok: true, rows: [], rowCount: 0, command: "SELECT" } : null;
}
