/** The names of all statements in the sources, and which of them `ledger-plan.test.ts` judges, on a ledger filled for it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const sources = join(import.meta.dirname, "..", "..", "src");
const direction = "$" + "{sql.raw(direction)}";

/** Every `noun.verb` comment in a text of SQL; where a name ends in a direction, both. */
export function statementNames(): Set<string> {
  const files = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  const names = files.flatMap((file) =>
    [...readFileSync(join(sources, file), "utf8").matchAll(/\/\* ([a-z][a-z0-9_-]*(?:\.(?:[a-z][a-z0-9_-]*|\$\{[^}]*\}))+) \*\//g)].map(
      ([, name = ""]) => name,
    ),
  );
  return new Set(names.flatMap((name) => (name.endsWith(direction) ? ["forward", "backward"].map((way) => name.replace(direction, way)) : [name])));
}

export const ledgerStatements: ReadonlySet<string> = new Set([
  "event.by-id",
  "ledger.anchor.batch.backward",
  "ledger.anchor.batch.forward",
  "ledger.anchor.position",
  "ledger.late",
  "ledger.scan.backward",
  "ledger.scan.end.backward",
  "ledger.scan.end.forward",
  "ledger.scan.forward",
  "ledger.scan.late.backward",
  "ledger.scan.late.forward",
  "ledger.tail",
  "sequencer.gaps",
  "sequencer.lead",
  "sequencer.stand",
  "sequencer.tick",
]);
