/** The parts of the README that are printed from code: what stands between their markers is replaced. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { settingsTable } from "../src/main/config.ts";

const file = fileURLToPath(new URL("../README.md", import.meta.url));
const begin = "<!-- settings: printed by npm run print -->";
const end = "<!-- /settings -->";

export function printReadme(): string {
  const text = readFileSync(file, "utf8");
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error("README.md has lost the markers around its settings");
  return `${text.slice(0, from + begin.length)}\n\n${settingsTable()}\n\n${text.slice(to)}`;
}
