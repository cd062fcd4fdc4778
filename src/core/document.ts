/**
 * JSON documents that users hand in (specs, metadata, params): what keeps them from being stored or read back as they are. Unlike
 * answers of drivers (`json.ts`) they are refused, not repaired: what a user said is kept to the letter or not at all.
 */
import type { InputIssue } from "./errors.ts";
import { isUnstorable, type Json } from "./json.ts";

/** Deeper than anybody nests by hand, far from any parser's end. */
export const documentDepth = 32;
/** More of them tell nothing new, and an answer must not grow with a bad question. */
const issueLimit = 50;

/** What is wrong with a text that is stored as it is, as issues at `path`. */
export function textIssues(text: string, path: readonly string[], maxLength: number): InputIssue[] {
  const issues: InputIssue[] = [];
  if (text.length > maxLength) issues.push({ path, message: `must not be longer than ${maxLength} characters (it has ${text.length})` });
  if (isUnstorable(text)) issues.push({ path, message: "must not hold NUL or a lone surrogate" });
  return issues;
}

/** What is wrong with a document, as issues whose paths begin with `path`. */
export function documentIssues(document: Json, path: readonly string[], maxBytes: number): InputIssue[] {
  const issues: InputIssue[] = [];
  const report = (at: readonly string[], message: string): void => {
    if (issues.length < issueLimit) issues.push({ path: at, message });
  };
  const walk = (value: Json, at: readonly string[], depth: number): boolean => {
    if (depth > documentDepth) {
      report(at.slice(0, path.length + 4), `must not be nested deeper than ${documentDepth} levels`);
      return false;
    }
    if (typeof value === "string") {
      if (isUnstorable(value)) report(at, "must not hold NUL or a lone surrogate");
    } else if (typeof value === "number") {
      // What JSON cannot say never gets here by JSON, but variables of other origins might.
      if (!Number.isFinite(value)) report(at, "must be a finite number");
    } else if (Array.isArray(value)) {
      return (value as readonly Json[]).every((item, index) => walk(item, [...at, String(index)], depth + 1));
    } else if (value !== null && typeof value === "object") {
      return Object.entries(value).every(([key, item]) => {
        // A name that cannot be stored cannot be shown either: the path ends at its holder.
        if (isUnstorable(key)) report(at, "must not have a property whose name holds NUL or a lone surrogate");
        return walk(item, isUnstorable(key) ? at : [...at, key], depth + 1);
      });
    }
    return true;
  };
  // Whatever is too deep is not measured: writing it down would be as deep.
  if (walk(document, path, 1)) {
    const bytes = new TextEncoder().encode(JSON.stringify(document)).length;
    if (bytes > maxBytes) report(path, `must not be larger than ${maxBytes} bytes as JSON (it has ${bytes})`);
  }
  return issues;
}
