/** What a mutation answered: what was asked for, or why not, as one sentence. */
import type { ErrorFieldsFragment } from "./graphql/generated/graphql.ts";

/** The sentence of a refusal, or null where the mutation was accepted. */
export function refusalIn(result: object): string | null {
  if (!isRefusal(result)) return null;
  const issues = "issues" in result ? result.issues.map(({ path, message }) => `${path.join(".")}: ${message}`) : [];
  return [result.message, ...issues].join("\n  ");
}

/** Every member of a result union that is an `Error` carries a code; no payload does. */
function isRefusal(result: object): result is ErrorFieldsFragment {
  return "code" in result && "message" in result;
}
