/** `npm run simulate -- --catalogue`: after how many seeds each planted bug is found, as a table in docs/simulator.md. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Bug, bugs } from "./bugs.ts";
import { hunt } from "./plant.ts";

const page = fileURLToPath(new URL("../../docs/simulator.md", import.meta.url));
const [begin, end] = ["<!-- catalogue -->", "<!-- /catalogue -->"];

/** Hunts one bug and prints what came of it. Returns the table's row. */
export async function huntOne(bug: Bug, options: { readonly from: number; readonly seeds: number }): Promise<string> {
  const { seed, violation } = await hunt(bug, options);
  const after = seed === null ? `not within ${options.seeds}` : String(seed - options.from + 1);
  if (seed === null) process.exitCode = 1;
  console.log(`${bug.name}: ${after}${seed === null ? "" : ` (${violation})`}`);
  return `| \`${bug.name}\` | ${bug.what} | ${after} | ${kindOf(violation)} |`;
}

/** Hunts all, `jobs` at a time, and writes the table. */
export async function huntAll(options: { readonly from: number; readonly seeds: number; readonly jobs: number }): Promise<void> {
  const rows = new Map<Bug, string>();
  const left = [...bugs];
  await Promise.all(
    Array.from({ length: options.jobs }, async () => {
      for (let bug = left.shift(); bug !== undefined; bug = left.shift()) rows.set(bug, await huntOne(bug, options));
    }),
  );
  const table = ["| bug | what is wrong | seeds to find it | found by |", "|---|---|---|---|", ...bugs.map((bug) => rows.get(bug))].join("\n");
  const text = readFileSync(page, "utf8");
  const [head = "", rest = ""] = text.split(begin);
  writeFileSync(page, `${head}${begin}\n${table}\n${end}${rest.split(end)[1] ?? ""}`);
}

/** A violation without the names and numbers of its seed. */
function kindOf(violation: string): string {
  return violation
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "…")
    .replace(/\n.*/s, "")
    .replace(/\b\d+(\.\d+)+\b/g, "…")
    .replaceAll("|", "/")
    .slice(0, 110);
}
