/**
 * Placeholders in commands and environments: `{{ports.http}}`, `{{node.name}}`, `{{node.index}}`, `{{node.id}}`, `{{cluster.name}}`.
 * What does not begin with a letter (`{{.Names}}`) is somebody else's template and stays as it is. Pure.
 */
import { encodeId } from "../../core/ids.ts";
import type { DriverNode } from "../driver.ts";

const placeholder = /\{\{\s*([A-Za-z][^{}]*?)\s*\}\}/g;
const nodeNames = ["node.name", "node.index", "node.id", "cluster.name"] as const;

/** What placeholders stand for; keys as they are written. */
export type TemplateValues = ReadonlyMap<string, string>;

export function knownPlaceholders(ports: readonly string[]): readonly string[] {
  return [...nodeNames, ...ports.map((port) => `ports.${port}`)];
}

/** True when the text uses a placeholder that means nothing here. */
export function hasUnknownPlaceholder(text: string, ports: readonly string[]): boolean {
  const known = new Set(knownPlaceholders(ports));
  return [...text.matchAll(placeholder)].some((match) => !known.has(match[1] ?? ""));
}

export function templateValues(node: Pick<DriverNode, "id" | "name" | "index" | "clusterName">, ports: ReadonlyMap<string, number>): TemplateValues {
  const values = new Map<string, string>([
    ["node.name", node.name],
    ["node.index", node.index === null ? "" : String(node.index)],
    ["node.id", encodeId("node", node.id)],
    ["cluster.name", node.clusterName ?? ""],
  ]);
  for (const [name, port] of ports) values.set(`ports.${name}`, String(port));
  return values;
}

export function fill(text: string, values: TemplateValues): string {
  return text.replace(placeholder, (whole, name: string) => values.get(name) ?? whole);
}

/** What of the text is its own, and not a placeholder's. */
export function literalPart(text: string): string {
  return text.replace(placeholder, "");
}
