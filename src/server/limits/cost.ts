/**
 * What an operation costs, in objects, before anything runs. Page sizes are multiplied: a page of 100 clusters with 10 nodes each
 * asks for 1,100 objects. The tree of a document's operation is compiled once; each request only multiplies it with its variables.
 *
 * An object counts 1 (and 1 more for every 50 leaves selected on it); connections, edges and page infos count nothing by
 * themselves, but a connection never less than its page, whose rows are read in any case. A list without a size counts as ten if
 * its elements are objects with an id, else as one: such lists live inside their parent's row. Of alternatives (`... on A`,
 * `... on B`) all are counted, so the figure is an upper bound.
 */
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  typeFromAST,
  type ValueNode,
} from "graphql";

/** A page's size where the client says nothing (CONTRACT: Lists). */
const defaultPageSize = 50;
const assumedListSize = 10;
const leavesPerObject = 50;
const pageArguments = ["first", "last", "maxSize"] as const;

type Variables = Readonly<Record<string, unknown>>;
type Amount = (variables: Variables) => number;

interface CostNode {
  readonly key: string;
  /** object: counts itself. wrapper: only what is below. page: a connection or batch, whose lists have `size` elements. */
  readonly kind: "object" | "wrapper" | "page";
  /** How many of it one parent has; for a page, how many elements its lists have; "page": as many as the page above it has. */
  readonly size: Amount | "page" | 1;
  readonly included: (variables: Variables) => boolean;
  readonly leaves: number;
  readonly children: readonly CostNode[];
}

export interface CostPlan {
  readonly roots: readonly CostNode[];
}

interface Scope {
  readonly schema: GraphQLSchema;
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  readonly defaults: ReadonlyMap<string, ValueNode>;
}

interface Selected {
  readonly parent: GraphQLCompositeType;
  readonly node: FieldNode;
  readonly sets: SelectionSetNode[];
}

/** The tree of one operation of a document that has been validated. */
export function compileCost(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode): CostPlan {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const defaults = new Map<string, ValueNode>();
  for (const variable of operation.variableDefinitions ?? []) {
    if (variable.defaultValue !== undefined) defaults.set(variable.variable.name.value, variable.defaultValue);
  }
  const root = schema.getRootType(operation.operation);
  if (root === null || root === undefined) return { roots: [] };
  return { roots: compileLevel({ schema, fragments, defaults }, root, [operation.selectionSet], false).children };
}

function compileLevel(
  scope: Scope,
  type: GraphQLCompositeType,
  sets: readonly SelectionSetNode[],
  insidePage: boolean,
): { children: CostNode[]; leaves: number } {
  const selected = new Map<string, Selected>();
  const visit = (parent: GraphQLCompositeType, set: SelectionSetNode, seen: Set<string>): void => {
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const id = `${parent.name}.${selection.alias?.value ?? selection.name.value}`;
        const field = selected.get(id) ?? { parent, node: selection, sets: [] };
        if (selection.selectionSet !== undefined) field.sets.push(selection.selectionSet);
        selected.set(id, field);
        continue;
      }
      const fragment = selection.kind === Kind.INLINE_FRAGMENT ? selection : scope.fragments.get(selection.name.value);
      if (fragment === undefined || (selection.kind === Kind.FRAGMENT_SPREAD && seen.has(selection.name.value))) continue;
      if (selection.kind === Kind.FRAGMENT_SPREAD) seen.add(selection.name.value);
      const condition = fragment.typeCondition === undefined ? parent : typeFromAST(scope.schema, fragment.typeCondition);
      if (condition !== undefined && isCompositeType(condition)) visit(condition, fragment.selectionSet, seen);
    }
  };
  const seenFragments = new Set<string>();
  for (const set of sets) visit(type, set, seenFragments);
  const children: CostNode[] = [];
  let leaves = 0;
  for (const field of selected.values()) {
    const child = compileField(scope, field, insidePage);
    if (child === null) leaves++;
    else children.push(child);
  }
  return { children, leaves };
}

/** null for a leaf, and for introspection, which is bounded by a rule of its own. */
function compileField(scope: Scope, { parent, node, sets }: Selected, insidePage: boolean): CostNode | null {
  if (node.name.value.startsWith("__") || !("getFields" in parent)) return null;
  const field = parent.getFields()[node.name.value];
  const type = field === undefined ? undefined : getNamedType(field.type);
  if (field === undefined || type === undefined || !isCompositeType(type)) return null;
  const pageSize = pageAmount(scope, field, node);
  const list = isListType(getNullableType(field.type));
  const kind = pageSize !== null && !list ? "page" : isWrapper(type) ? "wrapper" : "object";
  const { children, leaves } = compileLevel(scope, type, sets, kind === "page");
  const size = pageSize ?? (list ? listAmount(scope, field, node, type, insidePage) : 1);
  return { key: node.alias?.value ?? node.name.value, kind, size, included: inclusion(scope, node), leaves, children };
}

function isWrapper(type: GraphQLCompositeType): boolean {
  return isObjectType(type) && (type.name === "PageInfo" || type.name.endsWith("Edge") || type.name.endsWith("Connection"));
}

function pageAmount(scope: Scope, field: GraphQLField<unknown, unknown>, node: FieldNode): Amount | null {
  const names = pageArguments.filter((name) => field.args.some((argument) => argument.name === name));
  if (names.length === 0) return null;
  const amounts = names.map((name) => integerArgument(scope, field, node, name));
  return (variables) => {
    const given = amounts.map((amount) => amount(variables)).filter((value) => value !== null);
    return given.length === 0 ? defaultPageSize : Math.max(0, ...given);
  };
}

function listAmount(
  scope: Scope,
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  type: GraphQLCompositeType,
  insidePage: boolean,
): Amount | "page" | 1 {
  const ids = field.args.some((argument) => argument.name === "ids") ? argumentValue(node, "ids") : undefined;
  if (ids !== undefined) return (variables) => listLength(scope, ids, variables);
  if (insidePage) return "page";
  const hasId =
    "getInterfaces" in type &&
    (isInterfaceType(type) ? [type, ...type.getInterfaces()] : type.getInterfaces()).some((parent) => parent.name === "Node");
  return hasId ? () => assumedListSize : 1;
}

function argumentValue(node: FieldNode, name: string): ValueNode | undefined {
  return node.arguments?.find((argument) => argument.name.value === name)?.value;
}

function integerArgument(
  scope: Scope,
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  name: string,
): (variables: Variables) => number | null {
  const declared = field.args.find((argument) => argument.name === name)?.defaultValue;
  const fallback = typeof declared === "number" ? declared : null;
  const value = argumentValue(node, name);
  if (value === undefined) return () => fallback;
  return (variables) => {
    const actual = resolveValue(scope, value, variables);
    return typeof actual === "number" && Number.isFinite(actual) ? Math.trunc(actual) : fallback;
  };
}

function listLength(scope: Scope, value: ValueNode, variables: Variables): number {
  if (value.kind === Kind.LIST) return value.values.length;
  const actual = resolveValue(scope, value, variables);
  return Array.isArray(actual) ? actual.length : 1;
}

/** A variable's raw value or a literal; what is of the wrong type is found by the executor's own coercion. */
function resolveValue(scope: Scope, value: ValueNode, variables: Variables): unknown {
  if (value.kind === Kind.VARIABLE) {
    const name = value.name.value;
    if (Object.hasOwn(variables, name)) return variables[name];
    const fallback = scope.defaults.get(name);
    return fallback === undefined ? undefined : resolveValue(scope, fallback, {});
  }
  if (value.kind === Kind.INT) return Number(value.value);
  if (value.kind === Kind.BOOLEAN) return value.value;
  if (value.kind === Kind.LIST) return value.values;
  return undefined;
}

function inclusion(scope: Scope, node: FieldNode): (variables: Variables) => boolean {
  const conditions = (node.directives ?? []).flatMap((directive) => {
    const condition = directive.arguments?.find((argument) => argument.name.value === "if")?.value;
    const name = directive.name.value;
    return condition !== undefined && (name === "skip" || name === "include") ? [{ condition, wanted: name === "include" }] : [];
  });
  if (conditions.length === 0) return () => true;
  return (variables) => conditions.every(({ condition, wanted }) => resolveValue(scope, condition, variables) === wanted);
}

/**
 * Objects that the operation may answer with.
 * @param pageLimit pages beyond it are refused by their resolvers: they count as it
 */
export function requestedCost(plan: CostPlan, variables: Variables, pageLimit: number): number {
  const below = (nodes: readonly CostNode[], page: number): number => nodes.reduce((sum, node) => sum + costOf(node, page), 0);
  const costOf = (node: CostNode, page: number): number => {
    if (!node.included(variables)) return 0;
    const size = Math.min(pageLimit, node.size === 1 ? 1 : node.size === "page" ? page : node.size(variables));
    if (node.kind === "page") return Math.max(size, below(node.children, size));
    return size * (ownCost(node) + below(node.children, page));
  };
  return below(plan.roots, 1);
}

function ownCost(node: CostNode): number {
  return node.kind === "object" ? 1 + Math.floor(node.leaves / leavesPerObject) : 0;
}

/** Objects that an answer holds, by the same counting. */
export function actualCost(plan: CostPlan, data: unknown): number {
  const below = (nodes: readonly CostNode[], object: Readonly<Record<string, unknown>>): number => {
    const seen = new Set<string>();
    let sum = 0;
    for (const node of nodes) {
      if (seen.has(node.key)) continue;
      seen.add(node.key);
      sum += count(node, object[node.key]);
    }
    return sum;
  };
  const count = (node: CostNode, value: unknown): number => {
    if (Array.isArray(value)) return value.reduce((sum: number, item: unknown) => sum + count(node, item), 0);
    if (!isObject(value)) return 0;
    return ownCost(node) + below(node.children, value);
  };
  return isObject(data) ? below(plan.roots, data) : 0;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
