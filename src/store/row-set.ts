/**
 * Many rows as one parameter per column, for `… from unnest(…) as d(…)`. A column in which all rows say the same is one value: most
 * rows of a batch are of one project, one cluster, one kind.
 */
import { type RawBuilder, sql } from "kysely";

export interface Column {
  readonly name: string;
  /** As in a cast: `uuid`, `smallint`. */
  readonly type: string;
  readonly values: readonly unknown[];
}

export interface RowSet {
  /** `unnest(…)` of the columns that vary, without an alias. At least the first column is among them. */
  readonly source: RawBuilder<unknown>;
  /** Names of the columns that `source` yields, in its order. */
  readonly names: RawBuilder<unknown>;
  /** A column of the row called `d`, or the value that all rows share. */
  at(name: string): RawBuilder<unknown>;
}

/** @param columns of equal length, the first with values that differ (the key) */
export function rowSet(columns: readonly Column[]): RowSet {
  const varying = columns.filter(({ values }, i) => i === 0 || values.some((value) => value !== values[0]));
  const byName = new Map(columns.map((column) => [column.name, column]));
  return {
    source: sql`unnest(${sql.join(varying.map(({ values, type }) => sql`${values}::${sql.raw(type)}[]`))})`,
    names: sql.join(varying.map(({ name }) => sql.ref(name))),
    at: (name) => {
      const column = byName.get(name);
      if (column === undefined) throw new Error(`there is no column ${name}`);
      return varying.includes(column) ? sql.ref(`d.${name}`) : sql`${column.values[0]}::${sql.raw(column.type)}`;
    },
  };
}
