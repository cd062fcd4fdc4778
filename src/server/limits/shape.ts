/**
 * The shape of a document, looked at before it is validated (validation itself takes time that grows with it): how deep it goes,
 * how often one field stands beside itself under other aliases, how many mutations it begins. Purely of the text: no schema.
 *
 * Selections are merged as the executor will merge them: fields with the same response key are one, a fragment counts once per
 * selection set. A cycle of fragments therefore ends at the depth limit.
 */
import { type DocumentNode, type FragmentDefinitionNode, GraphQLError, Kind, type OperationDefinitionNode, type SelectionSetNode } from "graphql";
import type { Plugin } from "graphql-yoga";
import type { Limits } from "../../core/limits.ts";

export type ShapeLimits = Pick<Limits, "depth" | "fieldAliases" | "rootMutations">;

/** Selections looked at per document. Fragments in fragments can double with each level; nothing honest comes near. */
const walkBudget = 100_000;

interface Merged {
  readonly name: string;
  readonly sets: SelectionSetNode[];
}

class Walk {
  private left = walkBudget;
  private readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  private readonly limits: ShapeLimits;

  constructor(document: DocumentNode, limits: ShapeLimits) {
    this.limits = limits;
    const fragments = new Map<string, FragmentDefinitionNode>();
    for (const definition of document.definitions) {
      if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
    }
    this.fragments = fragments;
  }

  /** What is wrong with an operation, or null. */
  operation(node: OperationDefinitionNode): string | null {
    const root = this.merge([node.selectionSet]);
    if (root === null) return tooMany;
    if (node.operation === "mutation" && root.size > this.limits.rootMutations) {
      return `The operation begins ${root.size} mutations; at most ${this.limits.rootMutations} are taken at once.`;
    }
    return this.level(root, 1);
  }

  private level(fields: ReadonlyMap<string, Merged>, depth: number): string | null {
    if (depth > this.limits.depth) return `The document is nested deeper than ${this.limits.depth} levels.`;
    const times = new Map<string, number>();
    for (const { name } of fields.values()) {
      const count = (times.get(name) ?? 0) + 1;
      if (count > this.limits.fieldAliases) return `The field ${name} stands more than ${this.limits.fieldAliases} times in one selection.`;
      times.set(name, count);
    }
    for (const { sets } of fields.values()) {
      if (sets.length === 0) continue;
      const below = this.merge(sets);
      const problem = below === null ? tooMany : this.level(below, depth + 1);
      if (problem !== null) return problem;
    }
    return null;
  }

  /** Fields by response key; null when the budget is used up. */
  private merge(sets: readonly SelectionSetNode[]): Map<string, Merged> | null {
    const fields = new Map<string, Merged>();
    const seen = new Set<string>();
    const waiting = [...sets];
    for (let set = waiting.pop(); set !== undefined; set = waiting.pop()) {
      for (const selection of set.selections) {
        if (--this.left < 0) return null;
        if (selection.kind === Kind.FIELD) {
          const key = selection.alias?.value ?? selection.name.value;
          const field = fields.get(key) ?? { name: selection.name.value, sets: [] };
          if (selection.selectionSet !== undefined) field.sets.push(selection.selectionSet);
          fields.set(key, field);
        } else if (selection.kind === Kind.INLINE_FRAGMENT) waiting.push(selection.selectionSet);
        else if (!seen.has(selection.name.value)) {
          seen.add(selection.name.value);
          const fragment = this.fragments.get(selection.name.value);
          if (fragment !== undefined) waiting.push(fragment.selectionSet);
        }
      }
    }
    return fields;
  }
}

const tooMany = "The document selects too much.";

/** The first limit that a document breaks, as an error, or null. */
export function shapeProblem(document: DocumentNode, limits: ShapeLimits): GraphQLError | null {
  const walk = new Walk(document, limits);
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    const problem = walk.operation(definition);
    if (problem !== null) return new GraphQLError(problem, { nodes: definition, extensions: { code: "BAD_USER_INPUT" } });
  }
  return null;
}

/** Looks at every document once, before its validation. */
export function useShapeLimits(limits: ShapeLimits): Plugin {
  const known = new WeakMap<DocumentNode, GraphQLError | null>();
  return {
    onValidate({ params, setResult }) {
      const document = params.documentAST;
      const cached = known.get(document);
      const problem = cached === undefined ? shapeProblem(document, limits) : cached;
      if (cached === undefined) known.set(document, problem);
      if (problem !== null) setResult([problem]);
    },
  };
}
