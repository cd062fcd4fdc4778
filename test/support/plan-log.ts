/**
 * What PostgreSQL did for each statement, from its own log: auto_explain is switched on for one test database, every named statement that anybody runs there
 * leaves its plan, with the rows it touched.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { inject } from "vitest";
import { statementName } from "./postgres-wire.ts";

export interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Index Cond"?: string;
  readonly "Actual Rows"?: number;
  readonly "Actual Loops"?: number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Rows Removed by Index Recheck"?: number;
  readonly Operation?: string;
  readonly Plans?: readonly PlanNode[];
}

export interface LoggedPlan {
  readonly statement: string;
  readonly text: string;
  readonly plan: PlanNode;
}

/** Call it before anybody else connects. */
export async function logPlans(superuserUrl: string, planCacheMode: "auto" | "force_custom_plan" | "force_generic_plan"): Promise<void> {
  const client = new pg.Client({ connectionString: superuserUrl });
  await client.connect();
  const name = new URL(superuserUrl).pathname.slice(1);
  const settings = {
    session_preload_libraries: "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    plan_cache_mode: planCacheMode,
  };
  for (const [setting, value] of Object.entries(settings)) await client.query(`alter database ${name} set ${setting} = '${value}'`);
  await client.end();
}

/** Where the log stands now: what is read later begins there. */
export function logPosition(): number {
  return readFileSync(logFile()).length;
}

/** The plans of named statements that were logged between two places. Only one database may log at a time. */
export function loggedPlans(from: number, to = logPosition()): LoggedPlan[] {
  const text = readFileSync(logFile()).subarray(from, to).toString("utf8");
  // A plan that is just being written may be there in part: it is one of those that nobody waits for.
  return [...text.matchAll(/plan:\n(\t\{\n(?:\t .*\n)+\t\}\n)/g)].flatMap(([, json = ""]) => {
    const logged: { "Query Text": string; Plan: PlanNode } = JSON.parse(json.replaceAll("\n\t", "\n"));
    const statement = statementName(logged["Query Text"]);
    return statement.includes(".") ? [{ statement, text: logged["Query Text"], plan: logged.Plan }] : [];
  });
}

function logFile(): string {
  return join(inject("postgres").folder, "log");
}

/** A plan's steps, from the top. */
export function* stepsOf(plan: PlanNode): Generator<{ readonly node: PlanNode; readonly parents: readonly PlanNode[] }> {
  yield* walk(plan, []);
}

function* walk(node: PlanNode, parents: readonly PlanNode[]): Generator<{ readonly node: PlanNode; readonly parents: readonly PlanNode[] }> {
  yield { node, parents };
  for (const child of node.Plans ?? []) yield* walk(child, [...parents, node]);
}

/** Rows of tables that a statement read, thrown away or wrote. */
export function rowsTouched(plan: PlanNode): number {
  let rows = 0;
  for (const { node } of stepsOf(plan)) {
    const loops = node["Actual Loops"] ?? 1;
    const seen = (node["Actual Rows"] ?? 0) + (node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Index Recheck"] ?? 0);
    if (node["Relation Name"] !== undefined || node["Node Type"] === "Bitmap Index Scan") rows += seen * loops;
  }
  return Math.round(rows);
}
