/** Writes every file that is printed from code; with --check, says which of them are stale instead, and fails. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { openDatabase } from "../src/store/database.ts";
import { migrate } from "../src/store/migrate.ts";
import { startPostgres } from "../test/support/postgres.ts";
import { printDatabaseSchema } from "./database-schema.ts";
import { printGraphqlSchema, printOperations } from "./graphql-schema.ts";
import { printReadme } from "./readme.ts";
import { actionStateDiagram, nodeStateDiagram } from "./state-diagram.ts";

async function databaseSchema(): Promise<string> {
  const server = await startPostgres();
  try {
    const admin = new pg.Client({ connectionString: server.url("postgres") });
    await admin.connect();
    await admin.query("create database fresh");
    await admin.end();
    await migrate(server.url("fresh"));
    const db = openDatabase({ url: server.url("fresh"), size: 1, applicationName: "print" });
    const text = await printDatabaseSchema(db);
    await db.destroy();
    return text;
  } finally {
    await server.stop();
  }
}

const printed: Readonly<Record<string, () => string | Promise<string>>> = {
  "README.md": printReadme,
  "docs/state-node.md": nodeStateDiagram,
  "docs/state-action.md": actionStateDiagram,
  "schema/database.sql": databaseSchema,
  "schema/schema.graphql": printGraphqlSchema,
  "src/cli/graphql/generated/graphql.ts": printOperations,
};

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

const check = process.argv.includes("--check");
for (const [path, print] of Object.entries(printed)) {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  const text = await print();
  const stale = readOrEmpty(file) !== text;
  if (stale && check) {
    console.error(`${path} is stale: npm run print`);
    process.exitCode = 1;
  } else if (stale) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`${path} written`);
  }
}
