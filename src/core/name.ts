/** Names of objects, and the format members' names are made from. */
import type { InputIssue } from "./errors.ts";
import type { Entropy } from "./runtime.ts";

/** As long as a name may be. */
const longest = 128;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** What is wrong with a name, as issues at `path`. */
export function nameIssues(name: string, path: readonly string[]): InputIssue[] {
  if (namePattern.test(name)) return [];
  const message =
    name.length === 0
      ? "must not be empty"
      : name.length > longest
        ? `must not be longer than ${longest} characters (it has ${name.length})`
        : "must begin with a letter or digit and hold only letters, digits, '.', '_' and '-'";
  return [{ path, message }];
}

/** The digits of the highest index there is, 2^31 - 1. */
const indexDigits = 10;

/** So many lower-case letters and digits. */
export function randomText(entropy: Pick<Entropy, "bytes">, length: number): string {
  const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
  return Array.from(entropy.bytes(length), (byte) => alphabet[byte % alphabet.length]).join("");
}

export const defaultNodeNameFormat = "{cluster}-{index}";

type Part = { readonly text: string } | { readonly field: "cluster" | "index" } | { readonly field: "random"; readonly length: number };

function parse(format: string): Part[] | string {
  const parts: Part[] = [];
  for (const piece of format.split(/(\{[^{}]*\})/)) {
    if (piece === "") continue;
    if (!piece.startsWith("{")) {
      if (/[^A-Za-z0-9._-]/.test(piece)) return "may hold only letters, digits, '.', '_', '-' and {cluster}, {index}, {random:8}";
      parts.push({ text: piece });
      continue;
    }
    const random = /^\{random(?::(\d{1,2}))?\}$/.exec(piece);
    if (piece === "{cluster}" || piece === "{index}") parts.push({ field: piece === "{cluster}" ? "cluster" : "index" });
    else if (random !== null) {
      const length = Number(random[1] ?? 8);
      if (length < 4 || length > 32) return "{random:n} takes 4 to 32";
      parts.push({ field: "random", length });
    } else return `does not know ${piece}; it knows {cluster}, {index} and {random:8}`;
  }
  return parts;
}

/** What is wrong with a format. It must make unique names: hold {index}, or {random:8} at least. */
export function nodeNameFormatIssues(format: string, path: readonly string[]): InputIssue[] {
  const parts = parse(format);
  if (typeof parts === "string") return [{ path, message: parts }];
  const unique = parts.some((part) => "field" in part && ("length" in part ? part.length >= 8 : part.field === "index"));
  if (!unique) return [{ path, message: "must hold {index}, or {random:n} with n of at least 8, so that names differ" }];
  if (format.length > 100) return [{ path, message: "must not be longer than 100 characters" }];
  const { fixed, uses } = widths(parts);
  if (fixed + uses > longest)
    return [{ path, message: `makes names of ${fixed + uses} characters even where the cluster's name is cut to one; ${longest} are allowed` }];
  const [first] = parts;
  if (first !== undefined && "text" in first && !/^[A-Za-z0-9]/.test(first.text)) return [{ path, message: "must begin with a letter or digit" }];
  return [];
}

/** How many characters the parts take besides the cluster's name, at most; and how often that stands among them. */
function widths(parts: readonly Part[]): { readonly fixed: number; readonly uses: number } {
  let fixed = 0;
  let uses = 0;
  for (const part of parts) {
    if ("text" in part) fixed += part.text.length;
    else if ("length" in part) fixed += part.length;
    else if (part.field === "index") fixed += indexDigits;
    else uses += 1;
  }
  return { fixed, uses };
}

/**
 * A member's name, of at most 128 characters. The format has been checked. Only the cluster's name is cut, and for all its members
 * alike: cut by how long an index is, `…11` of the first member and of the eleventh could be the same name.
 * @param random gives so many lower-case letters and digits; asked once for each place in the format that wants some
 */
export function nodeName(
  format: string,
  values: { readonly cluster: string; readonly index: number; readonly random: (length: number) => string },
): string {
  const parts = parse(format);
  if (typeof parts === "string") throw new Error(`node name format was not checked: ${parts}`);
  const { fixed, uses } = widths(parts);
  const cluster = values.cluster.slice(0, Math.max(1, Math.floor((longest - fixed) / Math.max(1, uses))));
  return parts
    .map((part) => {
      if ("text" in part) return part.text;
      if ("length" in part) return values.random(part.length);
      return part.field === "cluster" ? cluster : String(values.index);
    })
    .join("");
}
