/** Which statements are sent, by the names that they have in the sources. */
import { RawNode } from "kysely";
import type { Database } from "../../src/store/database.ts";

/** A database that notes the names of the statements it is given. `take` answers with those since it was last asked. */
export function countStatements(db: Database): { readonly db: Database; take(): string[] } {
  let names: string[] = [];
  const counting = db.withPlugin({
    transformQuery: ({ node }) => {
      const text = RawNode.is(node) ? node.sqlFragments.join("?") : node.kind;
      names.push(/\/\* ([a-z_.-]+)/.exec(text)?.[1] ?? text);
      return node;
    },
    transformResult: ({ result }) => Promise.resolve(result),
  });
  return {
    db: counting,
    take: () => {
      const taken = names;
      names = [];
      return taken;
    },
  };
}
